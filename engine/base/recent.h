/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last things that were said, for people who did not see stderr. Any thread. */
#pragma once

/* Keeps one line more. */
void vm_log_remember (const char *line);
/* The lines that are kept, the oldest first, each with the time it was said at. Free the result. */
char *vm_log_recent (void);
