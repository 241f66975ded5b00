/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sentences that say why a machine no longer runs. */
#pragma once

#include "engine/machine/session.h"

/* NULL: nothing to say. Free the result. */
char *vm_notice_of_state (VmRunState state);
/* What a button says that starts such a machine anew; NULL: it needs none. */
const char *vm_notice_remedy (VmRunState state);
/* DATA is that of the SHUTDOWN event. */
char *vm_notice_of_shutdown (const char *data);
