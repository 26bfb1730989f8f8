# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# lib.sh - what the scripts share: messages, the cache of slow artefacts, progress of long steps.
# Sourced, never run. The sourcing script has said `set -euo pipefail`.
#
# Cache: one directory an artefact, ${XDG_CACHE_HOME:-~/.cache}/cloche/WHAT-KEY/, where KEY is a hash
# of all inputs. A directory appears whole, by rename, or not at all. The three of each kind used last
# stay; older ones that nobody asked for in 30 days are dropped when a new one is built.

# shellcheck disable=SC2034 # for those who source this
CLOCHE_TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CLOCHE_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/cloche
# "[2/3] " before each message, when a caller counts its steps.
CLOCHE_STEP=${CLOCHE_STEP:+$CLOCHE_STEP }

say()
{
	printf '%s%s\n' "$CLOCHE_STEP" "$*" >&2
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# usage_of FILE: the comment that opens a script is its help text.
usage_of()
{
	sed -n '/^# SPDX/d; 2,/^[^#]/{ s/^# \{0,1\}//p }' "$1" | sed '1{/^$/d}'
}

# need COMMAND GROUP: fails with what to do about it.
need()
{
	command -v "$1" >/dev/null || die "$1 is missing; 'scripts/setup $2' installs it"
}

# hash_of: 16 hex digits over standard input.
hash_of()
{
	sha256sum | cut -c1-16
}

# minutes SECONDS -> m:ss
minutes()
{
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# cloche_command: this tree's program if it is built, else the installed one.
cloche_command()
{
	if [[ -x $CLOCHE_TREE/build/bin/cloche ]]; then
		printf '%s\n' "$CLOCHE_TREE/build/bin/cloche"
	else
		command -v cloche || die "there is no cloche; make all builds it"
	fi
}

# size_of FILE -> "17.7 MB"
size_of()
{
	local bytes

	bytes=$(stat -L -c %s "$1")
	printf '%d.%d MB' $((bytes / 1000000)) $((bytes / 100000 % 10))
}

# cache_find WHAT-KEY: prints its directory and counts it as used; fails if it isn't there.
cache_find()
{
	local dir=$CLOCHE_CACHE/$1

	[[ -d $dir ]] || return 1
	touch -c "$dir"
	printf '%s\n' "$dir"
}

# cache_lock WHAT: two builds of one kind wait for each other. Held until the script ends.
cache_lock()
{
	mkdir -p "$CLOCHE_CACHE"
	exec {CACHE_LOCK_FD}>"$CLOCHE_CACHE/$1.lock"
	flock -n "$CACHE_LOCK_FD" && return
	say "$1: waiting for another build"
	flock "$CACHE_LOCK_FD"
}

# cache_scratch: prints a new scratch directory on the cache's file system, named after this process;
# first drops those whose process was killed too hard to do so itself.
cache_scratch()
{
	local dir pid

	mkdir -p "$CLOCHE_CACHE"
	for dir in "$CLOCHE_CACHE"/.scratch.*; do
		pid=${dir#*.scratch.}
		[[ ! -d $dir ]] || kill -0 "${pid%.*}" 2>/dev/null || rm -rf "$dir"
	done
	dir=$(mktemp -d "$CLOCHE_CACHE/.scratch.$$.XXXXXX")
	chmod 755 "$dir"
	printf '%s\n' "$dir"
}

# cache_temp: a scratch directory in CACHE_TEMP; gone when the script ends, and its commands too.
cache_temp()
{
	CACHE_TEMP=$(cache_scratch)
	trap cache_drop_temp EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

cache_drop_temp()
{
	[[ -z ${RUNNING:-} ]] || kill -TERM -- "-$RUNNING" 2>/dev/null || true
	chmod -R u+w "$CACHE_TEMP" 2>/dev/null || true
	rm -rf "$CACHE_TEMP"
}

# cache_keep DIR WHAT-KEY [DAYS]: DIR becomes the entry; old ones of the same kind go, after DAYS (30)
# without use.
cache_keep()
{
	local final=$CLOCHE_CACHE/$2 entry

	rm -rf "$final"
	touch "$1"
	mv -T "$1" "$final"
	find "$CLOCHE_CACHE" -mindepth 1 -maxdepth 1 -type d -name "${2%%-*}-*" -printf '%T@ %p\n' |
		sort -rn | sed '1,3d; s/^[^ ]* //' | while IFS= read -r entry; do
		find "$entry" -maxdepth 0 -mtime "+${3:-30}" -exec rm -rf {} +
	done
}

# link_out DIR TARGET…: symbolic links in DIR, so that the tree's build/ needn't know the cache.
link_out()
{
	local dir=$1 target

	shift
	[[ -n $dir ]] || return 0
	mkdir -p "$dir"
	for target; do
		ln -sfn "$target" "$dir/${target##*/}"
	done
}

# progress_show LABEL LOG LINES START: one line on a terminal, which the next one overwrites.
progress_show()
{
	local percent part=

	if [[ $3 -gt 0 ]]; then
		percent=$(wc -l <"$2")
		percent=$((percent * 100 / $3))
		part=" $((percent < 99 ? percent : 99)) %"
	fi
	if [[ -t 2 ]]; then
		printf '\r%s%s …%s %s\033[K' "$CLOCHE_STEP" "$1" "$part" "$(minutes $((SECONDS - $4)))" >&2
	else
		say "$1 …$part $(minutes $((SECONDS - $4)))"
	fi
}

# run_logged LABEL LOG LINES COMMAND…: runs COMMAND in a process group of its own, its output
# appended to LOG. LINES is about how many lines it will write (0: unknown), for the percentage.
# Ends the script, with the log's end and name, if COMMAND fails.
run_logged()
{
	local label=$1 log=$2 lines=$3 start=$SECONDS shown=0 every=15 status=0

	shift 3
	mkdir -p "${log%/*}"
	: >"$log"
	[[ -t 2 ]] && every=1
	set -m
	"$@" >>"$log" 2>&1 </dev/null &
	RUNNING=$!
	set +m
	while kill -0 "$RUNNING" 2>/dev/null; do
		if ((SECONDS >= shown)); then
			progress_show "$label" "$log" "$lines" "$start"
			shown=$((SECONDS + every))
		fi
		sleep 0.3
	done
	wait "$RUNNING" || status=$?
	RUNNING=
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
	if ((status != 0)); then
		tail -n 20 "$log" >&2
		die "$label: failed (status $status) after $(minutes $((SECONDS - start))); all of it: $log"
	fi
	say "$label: done in $(minutes $((SECONDS - start)))"
}
