/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a person has chosen for all machines. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

/* The settings of data/org.vitrine.Vitrine.gschema.xml: installed, or of the build folder. NULL: neither is there; the
 * functions below take that for settings that nobody ever changed. */
GSettings *vm_preferences_new (void);
bool       vm_preferences_flag (GSettings *preferences, const char *key, bool otherwise);
unsigned   vm_preferences_number (GSettings *preferences, const char *key, unsigned otherwise);
char *vm_preferences_text (GSettings *preferences, const char *key, const char *otherwise);
void       vm_preferences_set_flag (GSettings *preferences, const char *key, bool value);
/* Whether the question before ACTION was answered with "Do not ask again". */
bool       vm_preferences_unasked (GSettings *preferences, const char *action);
void       vm_preferences_set_unasked (GSettings *preferences, const char *action);
