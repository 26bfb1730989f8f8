/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_confine.h - the last stage of cloche-view's beginning: from here on it can pass bytes on, and
 * little else. Once, by its only thread.
 */
#ifndef CLOCHE_SUPERVISOR_VIEW_CONFINE_H
#define CLOCHE_SUPERVISOR_VIEW_CONFINE_H

#include "supervisor/failure.h"

/*
 * All that it needs is open. Afterwards no file can be opened, no program started, no connection
 * made, no other process touched: such calls fail with EPERM. 0, or -1: STATUS_FAILED.
 */
int view_confine(struct failure *failure);

#endif
