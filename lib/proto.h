/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proto.h - the names and limits of the two protocols that ride on wire.h.
 *
 *	control   CLI    -> VMM     control.sock, requests by the client
 *	agent     VMM    -> agent   vsock, the guest connects to (CID 2, PROTO_PORT_AGENT)
 *
 * Both have one envelope:
 *
 *	request  {"id":N,"verb":V,…}              N: 1..2^53, chosen by the asker, unique while open
 *	reply    {"id":N,"ok":true,…}
 *	         {"id":N,"ok":false,"error":{"code":C,"message":M}}
 *	event    {"event":E,…}                    unasked, no id
 *
 * Replies may come in any order. A request may say "timeout_ms"; each verb has a default. The error
 * codes are the PROTO_ERR_ names below. Unknown members are ignored, unknown verbs are refused.
 * cloche-protocol(7) is the same for people. No state, no code: names only.
 */
#ifndef CLOCHE_LIB_PROTO_H
#define CLOCHE_LIB_PROTO_H

#define PROTO_VERSION 1

/* vsock: the guest's agent connects out to the host; nothing in the guest listens for it. */
#define PROTO_PORT_AGENT 1024
#define PROTO_GUEST_CID 3

/* error.code */
#define PROTO_ERR_BAD_REQUEST "bad_request" /* a member is missing, of a wrong type or range */
#define PROTO_ERR_UNKNOWN_VERB "unknown_verb"
#define PROTO_ERR_NOT_READY "not_ready" /* agent, display or browser isn't up (yet) */
#define PROTO_ERR_TIMEOUT "timeout"     /* the request's time is over; says what was waited for */
#define PROTO_ERR_DENIED "denied"       /* not allowed in this guest or outside its folders */
#define PROTO_ERR_NOT_FOUND "not_found"
#define PROTO_ERR_TOO_LARGE "too_large"
#define PROTO_ERR_BUSY "busy"                   /* too many requests under way */
#define PROTO_ERR_FAILED "failed"               /* the system said no; message has errno's text */
#define PROTO_ERR_STALE_FRAME "stale_frame"     /* it is unknown, or not as it was */
#define PROTO_ERR_CONTROL_TAKEN "control_taken" /* a person has keyboard and pointer */
#define PROTO_ERR_GONE "gone"                   /* the agent or guest went away meanwhile */

/* Limits of both sides. */
#define PROTO_REQUESTS_MAX 32        /* requests under way on one agent channel */
#define PROTO_OUTPUT_MAX (512 << 10) /* bytes kept of stdout, and of stderr, of one exec */
#define PROTO_TIMEOUT_MAX_MS 3600000u
#define PROTO_DISPLAY_PAGES_MAX 16384u /* 64 MiB of framebuffer */
#define PROTO_DISPLAY_SIDE_MIN 64u
#define PROTO_DISPLAY_SIDE_MAX 4096u
#define PROTO_KEYSYM_MAX 0x1fffffff /* of the X protocol: 29 bits */
#define PROTO_GENERATION_DIGITS 32  /* of a generation id: 16 bytes in hex */

/*
 * Agent verbs (VMM -> agent) and their members; ? marks what may be left out.
 *
 * Events from the agent:
 *	hello    protocol, agent (version), kernel (uname -r), boot_ms (CLOCK_BOOTTIME when sent),
 *	         root (bool). First message on the channel, once.
 *	ready    stage: "agent" | "display" | "browser", boot_ms. "agent" comes right after hello,
 *	         "display" when Xvfb answers and its framebuffer is known, "browser" when the DevTools
 *	         pipe answers and the first page target is attached and has loaded.
 *	died     process: "xvfb" | "browser", exit or signal, boot_ms. Not restarted.
 * After a lost connection the agent connects again: "hello", then every "ready" and "died" so far,
 * with their old boot_ms. Requests under way on the lost connection are cancelled.
 *
 * exec      argv [str], env? {k:v}, cwd?, root? (only with --guest-root), timeout_ms? (30000),
 *           blob? = stdin. The command gets a process group of its own; on timeout the group is
 *           ended (TERM, 500 ms later KILL) and the reply still comes. env is added to HOME, USER,
 *           LOGNAME, PATH, DISPLAY, LANG, XDG_RUNTIME_DIR and nothing else; cwd starts in home. No
 *           such program or cwd: "not_found"; other reasons of execve: "failed".
 *           -> exit N | signal N, timed_out bool, duration_ms, stdout N, stderr N (bytes in the
 *           blob, stdout first), stdout_total, stderr_total (bytes produced; more than kept means
 *           cut). No blob when both are empty.
 * file      op "read":   path, offset?, length? (1 MiB) -> size, eof bool, mode, blob?
 *           op "write":  path, offset?, truncate? bool, mode? (0644), blob? -> size
 *           op "list":   path -> entries [{name,type "file|dir|link|other",size,mode,mtime}],
 *                        truncated bool
 *           op "remove": path (file or empty directory) -> {}
 *           mode is 0..0777; a write without blob makes or truncates. A folder, FIFO or device is
 *           no file: "failed". list sorts by name; what is no UTF-8 in a name shows as U+FFFD.
 *           Relative paths start in the user's home; only home and /tmp can be reached, and no
 *           symbolic link leads out of them.
 * display   -> width, height, stride (bytes a row, host check), size (bytes of the XWD file),
 *           blob = guest page frame numbers of the file in order, u64 little-endian each
 * input     steps [step…], done in order; step is one of
 *           {"move":[x,y]} {"button":1..9,"down":bool} {"key":"ctrl+a"} (press and release)
 *           {"key":"shift","down":bool} {"text":"any Unicode"} {"sleep_ms":n}
 *           {"keysym":N,"down":bool}: an X keysym as a person's keyboard made it, whatever its layout
 *           Key names are X keysym names, case-insensitive for modifiers, with the xdotool aliases
 *           ctrl alt shift super meta; wheel is buttons 4 5 6 7 (up, down, left, right).
 *           -> steps N (number done), x, y (the pointer afterwards)
 *           Without "down" a button or key is pressed and released. At most 1024 steps; all are
 *           checked before the first is done. A failing step: error, whose message names its index.
 * browser   op "navigate": url, wait? "load" (default) | "none" -> url, title, status?, dialog?
 *           op "back" | "reload": wait? -> url, title, status?, dialog?
 *           All act on the page in front. "load" also waits until the page is shown and can take
 *           input. status is HTTP's. dialog true: an alert or the like has cut the wait short.
 *           Only http, https, data and about:blank URLs; others are "denied".
 *           op "state" -> url, title, loading bool
 * clock     op? "get" -> realtime_ns, monotonic_ns, boottime_ns; op "set": realtime_ns
 *           (2020 to 2099)
 * relay     port (guest TCP on 127.0.0.1), to (vsock port on the host): each connection accepted
 *           is joined to a new vsock stream. A port that is relayed already gets the new "to" -> {}
 * shutdown  mode "poweroff" | "reboot" -> {} and then the guest goes down
 * generation generation (its id, 32 hex digits), session (name), realtime_ns,
 *           mac? ("02:12:34:56:78:9a") -> announced N, realtime_ns
 *           The first request to a clone, before its guest is let through to anybody. Comes back
 *           when the kernel has said that it has reseeded for a new generation, once for each, now
 *           or since the last reply (announced: how often); then the clock is as asked, and the
 *           network card's address. The same one again is answered at once: the reply may have been
 *           lost with the channel. One at a time, others are "busy". Default timeout 10000; where
 *           the kernel says nothing it ends in "timeout". An agent that is a host's process changes
 *           nothing and answers at once
 * tidy      what memory holds of files is written and dropped, the agent's own heap trimmed;
 *           default timeout 30000 -> {}
 *
 * Kernel command line read by the agent: cloche.size=WxH cloche.root=1 cloche.page=URL
 *
 * Control verbs (CLI -> VMM):
 *
 * status    -> name, pid, state "running|paused", cpus, memory_mib, uptime_ms, ttl_ms (left;
 *           absent without), started_ns (CLOCK_MONOTONIC), stages {…_ms since then: entry,
 *           first_exit, agent, display, browser; absent until reached}, agent? {protocol, agent, kernel, boot_ms}, display?
 *           {width,height}, deaths [{process,exit|signal}], balloon {…} (see below),
 *           exits {…: count}, origin {kind "boot|restore|fork", of? (a snapshot's id, or the name of
 *           the session it was forked off), mode? "template|lazy|eager"}, generation (32 hex digits),
 *           acknowledged bool (the guest knows that it is a copy), loaded bool (all of its memory is
 *           there). A fork's started_ns is the moment at which its original was stopped.
 * wait      for "agent|display|browser|loaded", timeout_ms? (60000) -> what status says. Of a copy the
 *           agent and the browser are ready when it has acknowledged.
 * screenshot format? "png" (default) | "rgb" | "hash", region? [x,y,width,height] (of the screen; default:
 *           all), max_width?, max_pixels? (of the picture, which is made smaller to fit, never larger) ->
 *           width, height (of the picture), region, scale (picture's width / region's, a real), frame
 *           (the screen's name, for compare), size, hash (XXH3-64 of the picture's RGB rows, 16 hex
 *           digits), read_us, encode_us; the picture is a sealed memfd that comes along (not for "hash")
 * settle    quiet_ms? (500; 1 to 60000), timeout_ms? (10000), rect? [x,y,width,height] (default: all) ->
 *           settled bool (nothing there has changed for quiet_ms; false: not within timeout_ms), frame,
 *           waited_ms, periodic [[x,y,width,height]…] (what went round among few pictures with a regular
 *           period, such as a caret, and was left out). By tiles of 64x32 pixels
 * compare   frame, against? (frame; default: the screen now), rect? | point? [x,y] (what is asked about;
 *           default: all), picture? bool (not with against), name? bool (false: the screen now gets none,
 *           and no older one is forgotten for it) -> changed bool, rects
 *           [[x,y,width,height]…] (at most 256), frame? (what it was compared with), size? (of the
 *           picture: a PNG of the screen now with what has changed marked, a sealed memfd that comes
 *           along). By tiles of 64x32 pixels: a tile that holds the point, or overlaps rect, counts
 *           whole. The VMM remembers the last 64 frames that it has named; others: "stale_frame"
 * agent     request {verb,…} without id, blob? -> the agent's reply under the client's id
 * balloon   target_mib? (0 to memory_mib), timeout_ms? (2000) -> driver bool, target_mib, actual_mib,
 *           inflated_mib, reported_mib (given back since the start, by the balloon and by reports of
 *           free memory), stats? {age_ms, and what the guest tells of free_bytes, total_bytes,
 *           available_bytes, caches_bytes, swapped_in_bytes, swapped_out_bytes, major_faults,
 *           minor_faults, huge_pages, huge_page_failures, oom_kills}. Fresh figures if the guest
 *           brings them within timeout_ms, else those that there are
 * viewer    a connected stream socket comes along: a VNC viewer is at its other end. control? bool
 *           (false): it can be given control -> viewer N
 * control   op "state" | "take" | "release", viewer? N (take: which one; default: the newest that can)
 *           -> viewers [{viewer, since_ms, control bool (can take it), bytes (sent)}], holder? N.
 *           While a viewer has control, keyboard and pointer are its own: requests to the agent for
 *           "input", and for "browser" but its op "state", are refused with "control_taken".
 * fork      children [{name, control, vsock, vnc?, report, console, log, ttl_s?, net?}] (1 to 64; paths are
 *           absolute and, but for log, must not exist) -> pids [N…] in their order, pause_us (for how
 *           long the guest stood still). The reply comes when the guest runs on; the clones open
 *           their control sockets after it. One that fails says why in its log and report. net is
 *           what a clone's card is plugged into, as --net has it but no tap-fd; without it a card has
 *           no link.
 * snapshot  path, parent? (absolute; a snapshot file that this one is to be the difference to), and a
 *           descriptor that comes along -> snapshot (its id, 32 hex digits), pause_us, pid (of the
 *           process that writes). It writes lines of JSON to the descriptor: {"done":N,"total":N (bytes of RAM),
 *           "written":N (bytes stored), "elapsed_ms":N}, several a second; at last {"ok":true,"id":…,
 *           "file_bytes":N,"zero":N,"raw":N,"lz4":N,"parent":N (chunks),"elapsed_ms":N} or
 *           {"ok":false,"error":{"code":C,"message":M}}. An end without either: it was killed, and what
 *           was at path before is there still.
 *           Both wait until all memory is loaded and a copy has acknowledged; a session with a writable
 *           disk is refused ("failed").
 * frames    a connected stream socket comes along; fast? bool (look 30 times a second, whether anything
 *           changes or not) -> {}. The screen's changes are sent to the socket (display/frame_stream.h)
 *           until it is closed, or something comes in on it. A slow reader gets the newest of each tile.
 * subscribe text? bool -> {}. From then on this client gets the events "action" (a request to the agent
 *           that acts on the guest: realtime_ns, by "agent|viewer", verb "input" with steps, more? (steps
 *           that aren't told), or verb "browser" with op, url?), "alert" (name, x, y, width, height,
 *           frozen), "control" (holder?: the viewer that has control from now on; absent: nobody).
 *           Without text nothing that was typed is told: {"characters":N} for a text, key "?"
 *           and keysym 0 for one that writes, URLs up to their query.
 * alert     name (up to 64 printable ASCII characters), x, y, width, height, freeze? bool -> {}: a picture
 *           that was watched for is on the screen. A line in the log, an event, and with freeze a pause
 * pause, resume -> {}
 * quit      -> {} and the VMM ends, status 0
 */

#endif
