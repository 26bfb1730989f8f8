/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options.h - the command line of cloche-vmm (cloche-vmm(1)). Main thread, at start. */
#ifndef CLOCHE_VMM_OPTIONS_H
#define CLOCHE_VMM_OPTIONS_H

#include <stdio.h>

#include "lib/error.h"
#include "vmm/vm.h"

enum options_mode {
	OPTIONS_RUN,
	OPTIONS_HELP,
	OPTIONS_VERSION,
	OPTIONS_PROBE,
	OPTIONS_INSPECT,
	OPTIONS_VERIFY
};

/*
 * Parses argv into *out_config, whose strings point into argv. 0, or -EINVAL with one line that
 * names the option. *out_mode says what is asked for; *out_config counts for OPTIONS_RUN, and its
 * .examine for OPTIONS_INSPECT and OPTIONS_VERIFY.
 */
int options_parse(int argc, char *argv[], struct vm_config *out_config, enum options_mode *out_mode,
                  struct error *err);

void options_print_help(FILE *out);

/*
 * options_net.c: values of --net, --mac and --net-rate into *out_config, and, when all are in, what
 * they mean together: a card without --mac has an address of its own, made from @name and @cid.
 */
int options_parse_net(const char *text, struct net_config *out_config, struct error *err);
int options_parse_mac(const char *text, struct net_config *out_config, struct error *err);
int options_parse_net_rate(const char *text, struct net_config *out_config, struct error *err);
int options_finish_net(struct net_config *config, const char *name, uint32_t cid,
                       struct error *err);

#endif
