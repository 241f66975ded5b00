/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What "-compat" says about parts of the interface that are deprecated or may still change. */
#pragma once

#include <stdbool.h>

typedef enum VmCompatInput
{
  VM_COMPAT_ACCEPT,
  VM_COMPAT_REJECT,
  VM_COMPAT_CRASH
} VmCompatInput;

typedef struct VmCompatPolicy
{
  VmCompatInput deprecated_input, unstable_input;
  bool hide_deprecated, hide_unstable; /* in answers, events and introspection */
} VmCompatPolicy;
