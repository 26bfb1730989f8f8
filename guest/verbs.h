/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verbs.h - one function a verb of the agent protocol (lib/proto.h), each in the file of its name.
 * The agent's thread; called by the channel alone. Rules for @request: channel.h.
 */
#ifndef CLOCHE_GUEST_VERBS_H
#define CLOCHE_GUEST_VERBS_H

struct agent;
struct request;

void verb_exec(struct agent *agent, struct request *request);
void verb_file(struct agent *agent, struct request *request);
void verb_display(struct agent *agent, struct request *request);
void verb_input(struct agent *agent, struct request *request);
void verb_browser(struct agent *agent, struct request *request);
void verb_clock(struct agent *agent, struct request *request);
void verb_relay(struct agent *agent, struct request *request);
void verb_shutdown(struct agent *agent, struct request *request);
void verb_generation(struct agent *agent, struct request *request);
void verb_tidy(struct agent *agent, struct request *request);

#endif
