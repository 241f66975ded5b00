/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of host processors and nodes in properties: "0-3,5" as bits. */
#pragma once

#include "engine/base/base.h"

/* Adds TEXT, a number, a range or several by commas, to BITS; numbers stay below LIMIT. NAME is the property's. */
bool vm_number_list_add (uint64_t *bits, unsigned limit, const char *name, const char *text, GError **error);
char *vm_number_list_text (const uint64_t *bits, unsigned limit);
bool vm_number_list_is_empty (const uint64_t *bits, unsigned limit);
