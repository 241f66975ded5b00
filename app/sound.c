/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What -audiodev and -audio say becomes back ends. */
#include "app/app.h"
#include "audio/audio.h"
#include "engine/schema/types.h"

bool
app_open_sound (VmMachine *machine, GError **error)
{
  const VmSettings *settings = machine->settings;

  for (guint i = 0; i < settings->audios->len; i++)
    {
      const VmAudioSpec *spec = g_ptr_array_index (settings->audios, i);
      bool standard = spec->shorthand && !vm_keyvals_has (spec->options, "model");
      g_autoptr (VmKeyVals) rest = vm_keyvals_copy (spec->options);
      VmAudiodev *dev;
      vm_keyvals_remove (rest, "model"); /* the parser has made a device of it */
      if (spec->json)
        dev = vm_audiodev_new_from_json (machine, json_tokener_parse (spec->json), VM_SCHEMA_JSON, standard, error);
      else
        dev = vm_audiodev_new_from_list (machine, rest, standard, error);
      if (dev)
        continue;
      g_prefix_error (error, "%s: ", spec->text);
      return false;
    }
  return true;
}
