/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GSettings, which also work from the build folder. */
#include "config.h"

#include "ui/gtk/preferences.h"

#define SCHEMA "org.vitrine.Vitrine"

GSettings *
vm_preferences_new (void)
{
  g_autoptr (GSettingsSchemaSource) built
    = g_settings_schema_source_new_from_directory (VM_BUILDDIR "/data", g_settings_schema_source_get_default (), TRUE, NULL);
  GSettingsSchemaSource *source = built ? built : g_settings_schema_source_get_default ();
  g_autoptr (GSettingsSchema) schema = source ? g_settings_schema_source_lookup (source, SCHEMA, TRUE) : NULL;

  return schema ? g_settings_new_full (schema, NULL, NULL) : NULL;
}

bool
vm_preferences_flag (GSettings *preferences, const char *key, bool otherwise)
{
  return preferences ? g_settings_get_boolean (preferences, key) : otherwise;
}

unsigned
vm_preferences_number (GSettings *preferences, const char *key, unsigned otherwise)
{
  return preferences ? g_settings_get_uint (preferences, key) : otherwise;
}

char *
vm_preferences_text (GSettings *preferences, const char *key, const char *otherwise)
{
  return preferences ? g_settings_get_string (preferences, key) : g_strdup (otherwise);
}

void
vm_preferences_set_flag (GSettings *preferences, const char *key, bool value)
{
  if (preferences)
    g_settings_set_boolean (preferences, key, value);
}

bool
vm_preferences_unasked (GSettings *preferences, const char *action)
{
  g_auto (GStrv) list = preferences ? g_settings_get_strv (preferences, "unasked") : NULL;

  return list && g_strv_contains ((const char *const *) list, action);
}

void
vm_preferences_set_unasked (GSettings *preferences, const char *action)
{
  if (!preferences || vm_preferences_unasked (preferences, action))
    return;
  g_auto (GStrv) list = g_settings_get_strv (preferences, "unasked");
  g_autoptr (GStrvBuilder) more = g_strv_builder_new ();
  g_strv_builder_addv (more, (const char **) list);
  g_strv_builder_add (more, action);
  g_auto (GStrv) value = g_strv_builder_end (more);
  g_settings_set_strv (preferences, "unasked", (const char *const *) value);
}
