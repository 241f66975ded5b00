/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The boards of this build. */
#pragma once

#include "engine/machine/machine.h"

extern const VmBoard *const vm_boards[]; /* ends with NULL */
