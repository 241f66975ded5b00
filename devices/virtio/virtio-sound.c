/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sound device (OASIS Virtual I/O Device 1.2, 5.14), with its front on PCI: the control queue, jacks, channel maps.
 * Streams are in virtio-sound-pcm.c. */
#include "devices/virtio/virtio-sound.h"

#include "devices/virtio/virtio-pci.h"

#define MESSAGE_MAX 24u /* the longest request */
#define INFO_MAX 32u

/* What was given out before for less than all of an element's size is no use to the driver. */
typedef struct Request
{
  VmVirtqElement *e;
  uint8_t message[MESSAGE_MAX];
  size_t size; /* of the message */
  uint32_t written;
} Request;

static void
answer (Request *r, const void *bytes, size_t size)
{
  r->written += (uint32_t) vm_iov_put (vm_virtq_in (r->e), r->e->n_in, r->written, bytes, size);
}

static void
answer_status (Request *r, uint32_t status)
{
  uint8_t raw[4];

  vm_store_le32 (raw, status);
  answer (r, raw, sizeof raw);
}

/* --- what there is ---------------------------------------------------------------------------- */

/* Jacks alternate between line-out and line-in, all with a plug in them. */
static size_t
jack_info (const VirtioSound *sound, unsigned i, uint8_t info[INFO_MAX])
{
  memset (info, 0, INFO_MAX);
  vm_store_le32 (info + 8, i & 1 ? 0x01813020 : 0x01014010);
  vm_store_le32 (info + 12, i & 1 ? 1 << 5 : 1 << 4); /* a pin for input, or for output */
  info[16] = 1;
  return 24;
}

static size_t
pcm_info (const VirtioSound *sound, unsigned i, uint8_t info[INFO_MAX])
{
  snd_stream_info (&sound->stream[i], info);
  return 32;
}

/* Two channels out and in, then one. */
static size_t
chmap_info (const VirtioSound *sound, unsigned i, uint8_t info[INFO_MAX])
{
  enum
  {
    MONO = 2,
    FRONT_LEFT = 3,
    FRONT_RIGHT = 4
  };

  memset (info, 0, INFO_MAX);
  info[4] = i & 1 ? SND_INPUT : SND_OUTPUT;
  info[5] = i < 2 ? 2 : 1;
  info[6] = i < 2 ? FRONT_LEFT : MONO;
  info[7] = i < 2 ? FRONT_RIGHT : 0;
  return 24;
}

/* --- control queue ---------------------------------------------------------------------------- */

static void
answer_info (VirtioSound *sound, Request *r, uint32_t n,
             size_t (*info) (const VirtioSound *sound, unsigned i, uint8_t info[INFO_MAX]))
{
  uint32_t first = vm_load_le32 (r->message + 4), count = vm_load_le32 (r->message + 8);
  uint32_t step = vm_load_le32 (r->message + 12);
  uint8_t item[INFO_MAX];

  if (r->size < 16 || first > n || count > n - first || step > 256
      || 4 + (size_t) count * step > vm_iov_size (vm_virtq_in (r->e), r->e->n_in))
    {
      answer_status (r, SND_BAD_MSG);
      return;
    }
  answer_status (r, SND_OK);
  for (uint32_t i = first; i < first + count; i++)
    {
      uint32_t start = r->written;

      answer (r, item, MIN (info (sound, i, item), step));
      memset (item, 0, sizeof item);
      while (r->written < start + step) /* a driver that knows more fields finds zeros there */
        answer (r, item, MIN (sizeof item, start + step - r->written));
    }
}

static void
stream_request (VirtioSound *sound, Request *r, uint32_t code)
{
  uint32_t index = vm_load_le32 (r->message + 4), status;

  if (r->size < 8 || index >= sound->n_streams)
    status = SND_BAD_MSG;
  else if (code != SND_PCM_SET_PARAMS)
    status = snd_stream_command (&sound->stream[index], code);
  else
    status = r->size < MESSAGE_MAX ? SND_BAD_MSG : snd_stream_set_params (&sound->stream[index], r->message);
  answer_status (r, status);
}

static void
handle_request (VirtioSound *sound, Request *r)
{
  uint32_t code = r->size < 4 ? 0 : vm_load_le32 (r->message);

  switch (code)
    {
    case SND_JACK_INFO:
      answer_info (sound, r, sound->jacks, jack_info);
      break;
    case SND_PCM_INFO:
      answer_info (sound, r, sound->n_streams, pcm_info);
      break;
    case SND_CHMAP_INFO:
      answer_info (sound, r, sound->chmaps, chmap_info);
      break;
    case SND_PCM_SET_PARAMS:
    case SND_PCM_PREPARE:
    case SND_PCM_RELEASE:
    case SND_PCM_START:
    case SND_PCM_STOP:
      stream_request (sound, r, code);
      break;
    case SND_JACK_REMAP:
      answer_status (r, SND_NOT_SUPP);
      break;
    default:
      answer_status (r, code ? SND_NOT_SUPP : SND_BAD_MSG);
      break;
    }
}

static void
handle_control (VmVirtio *v, VmVirtqueue *q)
{
  VmVirtqElement *e;

  vm_virtqueue_set_notification (q, false);
  while ((e = vm_virtqueue_next (q, sizeof *e)))
    {
      Request r = { .e = e };

      r.size = vm_iov_get (vm_virtq_out (e), e->n_out, 0, r.message, sizeof r.message);
      handle_request ((VirtioSound *) v, &r);
      vm_virtqueue_push (e, r.written);
    }
}

/* Buffers for events stay with the device: nothing happens to its jacks. */
static void
handle_event (VmVirtio *v, VmVirtqueue *q)
{
}

/* --- life ------------------------------------------------------------------------------------- */

static void
sound_config_get (VmVirtio *v, uint8_t *config)
{
  const VirtioSound *sound = (const VirtioSound *) v;

  vm_store_le32 (config, sound->jacks);
  vm_store_le32 (config + 4, sound->n_streams);
  vm_store_le32 (config + 8, sound->chmaps);
}

static void
sound_stop (VmVirtio *v)
{
  snd_streams_reset ((VirtioSound *) v);
}

static bool
sound_settle (VmVirtio *v, GError **error)
{
  snd_streams_settle ((VirtioSound *) v);
  return true;
}

static bool
sound_realize (VmDevice *dev, GError **error)
{
  VirtioSound *sound = (VirtioSound *) dev;

  if (sound->jacks > SND_JACKS)
    return vm_fail (error, "Invalid number of jacks: %u: at most %u", sound->jacks, SND_JACKS);
  if (sound->n_streams < 1 || sound->n_streams > SND_STREAMS)
    return vm_fail (error, "Invalid number of streams: %u: from 1 to %u", sound->n_streams, SND_STREAMS);
  if (sound->chmaps > SND_CHMAPS)
    return vm_fail (error, "Invalid number of channel maps: %u: at most %u", sound->chmaps, SND_CHMAPS);
  if (!vm_audio_card_attach (&sound->card, dev->env, &dev->parent, "virtio-sound", error))
    return false;
  sound->parent.config_size = 12;
  sound->queue[SND_CONTROL] = vm_virtio_add_queue (&sound->parent, SND_QUEUE, handle_control);
  sound->queue[SND_EVENT] = vm_virtio_add_queue (&sound->parent, SND_QUEUE, handle_event);
  sound->queue[SND_TX] = vm_virtio_add_queue (&sound->parent, SND_QUEUE, snd_handle_transfer);
  sound->queue[SND_RX] = vm_virtio_add_queue (&sound->parent, SND_QUEUE, snd_handle_transfer);
  for (unsigned i = 0; i < sound->n_streams; i++)
    snd_stream_open (&sound->stream[i], sound, i);
  return true;
}

static void
sound_unrealize (VmDevice *dev)
{
  VirtioSound *sound = (VirtioSound *) dev;

  vm_virtio_shut_down (&sound->parent);
  for (unsigned i = 0; i < sound->n_streams; i++)
    snd_stream_close (&sound->stream[i]);
  vm_audio_card_detach (&sound->card);
}

static bool
sound_post_load (VmDevice *dev, GError **error)
{
  VirtioSound *sound = (VirtioSound *) dev;

  for (unsigned i = 0; i < sound->n_streams; i++)
    if (!snd_stream_loaded (&sound->stream[i], error))
      return false;
  return true;
}

static const VmProp sound_props[]
    = { VM_AUDIO_CARD_PROPS (VirtioSound, card),
        VM_PROP ("jacks", VirtioSound, jacks, 0, "number of jacks"),
        VM_PROP ("streams", VirtioSound, n_streams, 2, "number of streams; half of them record"),
        VM_PROP ("chmaps", VirtioSound, chmaps, 0, "number of channel maps"),
        { 0 } };

static const VmField sound_state[] = { VM_FIELD_EMBED_ARRAY (VirtioSound, stream, virtio_sound_stream_state), { 0 } };

static const VmVirtioClass sound_class = {
  .parent = { .realize = sound_realize,
              .unrealize = sound_unrealize,
              .post_load = sound_post_load,
              .category = "Sound",
              .user_creatable = true,
              .hotpluggable = true },
  .id = VIRTIO_ID_SOUND,
  .modern_only = true,
  .config_get = sound_config_get,
  .stop = sound_stop,
  .settle = sound_settle,
};

const VmType vm_virtio_sound_type = {
  .name = "virtio-sound-device",
  .parent = &vm_virtio_type,
  .size = sizeof (VirtioSound),
  .help = "Virtio sound device",
  .props = sound_props,
  .state = sound_state,
  .klass = &sound_class,
};

/* --- on PCI ----------------------------------------------------------------------------------- */

typedef struct SoundPci
{
  VmVirtioPci parent;
  VirtioSound sound;
} SoundPci;

static void
sound_pci_init (VmObject *obj)
{
  SoundPci *self = (SoundPci *) obj;

  vm_virtio_pci_init (&self->parent, &self->sound.parent, &vm_virtio_sound_type);
}

static const VmProp sound_pci_props[] = { VM_VIRTIO_PCI_IOEVENTFD_PROP,
                                          VM_VIRTIO_PCI_VECTORS_PROP (2),
                                          VM_PROP_EMBED (SoundPci, sound, vm_virtio_props),
                                          VM_PROP_EMBED (SoundPci, sound, sound_props),
                                          { 0 } };

static const VmVirtioPciClass sound_pci_class
    = VM_VIRTIO_PCI_CLASS (PCI_CLASS_MULTIMEDIA_AUDIO, VM_VIRTIO_PCI_NON_TRANSITIONAL, NULL, "Sound");

const VmType vm_virtio_sound_pci_type = {
  .name = "virtio-sound-pci",
  .parent = &vm_virtio_pci_type,
  .size = sizeof (SoundPci),
  .help = "Virtio Sound",
  .props = sound_pci_props,
  .klass = &sound_pci_class,
  .init = sound_pci_init,
};
