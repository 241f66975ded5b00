/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP commands about sound. */
#include "audio/audio-private.h"

#include "engine/machine/machine.h"
#include "engine/monitor/monitor.h"
#include "engine/monitor/qmp-handlers.h"
#include "engine/schema/types.h"

GPtrArray *
vm_qmp_query_audiodevs (VmMonitor *mon, GError **error)
{
  const VmAudio *audio = vm_audio_get (&vm_monitor_machine (mon)->env);
  GPtrArray *list = g_ptr_array_new ();

  for (guint i = 0; i < audio->devs->len; i++)
    {
      const VmAudiodev *dev = g_ptr_array_index (audio->devs, i);
      json_object *json = vm_schema_write (&vmq_type_audiodev, &dev->options);
      g_ptr_array_add (list, vm_schema_read (&vmq_type_audiodev, json, VM_SCHEMA_JSON, NULL, NULL));
      json_object_put (json);
    }
  return list;
}
