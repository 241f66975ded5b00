/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The High Definition Audio link: see hda.h (specification 1.0a, sections 5.3 and 7.3.1). */
#include "devices/audio/hda.h"

static const VmHdaCodecClass *
codec_class (const VmHdaCodec *codec)
{
  return (const VmHdaCodecClass *) vm_device_class (&codec->parent);
}

VmHdaCodec *
vm_hda_bus_codec (const VmHdaBus *bus, unsigned cad)
{
  for (guint i = 0; i < bus->parent.devices->len; i++)
    {
      VmHdaCodec *codec = g_ptr_array_index (bus->parent.devices, i);

      if (codec->cad == cad)
        return codec;
    }
  return NULL;
}

uint16_t
vm_hda_bus_present (const VmHdaBus *bus)
{
  uint16_t present = 0;

  for (guint i = 0; i < bus->parent.devices->len; i++)
    present |= (uint16_t) (1u << ((VmHdaCodec *) g_ptr_array_index (bus->parent.devices, i))->cad);
  return present;
}

bool
vm_hda_bus_command (const VmHdaBus *bus, uint32_t command, uint32_t *response)
{
  VmHdaCodec *codec = vm_hda_bus_codec (bus, command >> 28);

  if (!codec || (command >> 27 & 1)) /* no node here needs the long form */
    return false;
  *response = codec_class (codec)->command (codec, command >> 20 & 0x7f, command & 0xfffff);
  return true;
}

void
vm_hda_bus_stream (const VmHdaBus *bus, unsigned tag, bool output)
{
  if (tag == 0)
    return;
  for (guint i = 0; i < bus->parent.devices->len; i++)
    {
      VmHdaCodec *codec = g_ptr_array_index (bus->parent.devices, i);

      codec_class (codec)->stream (codec, tag, output);
    }
}

static bool
hda_attach (VmBus *parent, VmDevice *dev, GError **error)
{
  VmHdaBus *bus = (VmHdaBus *) parent;
  VmHdaCodec *codec = (VmHdaCodec *) dev;
  uint16_t taken = 0;

  for (guint i = 0; i < parent->devices->len; i++)
    if (g_ptr_array_index (parent->devices, i) != dev)
      taken |= (uint16_t) (1u << ((VmHdaCodec *) g_ptr_array_index (parent->devices, i))->cad);
  if (codec->cad == VM_HDA_ANY_CAD)
    for (codec->cad = 0; codec->cad < VM_HDA_CODECS && (taken >> codec->cad & 1); codec->cad++)
      ;
  if (codec->cad >= VM_HDA_CODECS)
    return vm_fail (error, "HDA audio codec address must be below %u, and that many fit on %s", VM_HDA_CODECS,
                    bus->parent.name);
  if (taken >> codec->cad & 1)
    return vm_fail (error, "HDA audio codec address %u of %s is in use", codec->cad, bus->parent.name);
  return true;
}

static char *
hda_device_path (VmBus *bus, VmDevice *dev)
{
  return g_strdup_printf ("%x", ((VmHdaCodec *) dev)->cad);
}

void
vm_hda_bus_init (VmHdaBus *bus, VmDevice *owner, const VmHdaLinkOps *ops)
{
  vm_bus_init (&bus->parent, VM_HDA_BUS_TYPE, owner, NULL);
  bus->parent.attach = hda_attach;
  bus->parent.device_path = hda_device_path;
  bus->parent.max_devices = VM_HDA_CODECS;
  bus->ops = ops;
}

static const VmProp codec_props[]
    = { VM_PROP ("cad", VmHdaCodec, cad, VM_HDA_ANY_CAD, "address on the link; 4294967295: the next free one"), { 0 } };

static const VmHdaCodecClass codec_base_class = {
  .parent = { .bus_type = VM_HDA_BUS_TYPE, .category = "Sound" },
};

const VmType vm_hda_codec_type = {
  .name = "hda-codec",
  .parent = &vm_device_type,
  .size = sizeof (VmHdaCodec),
  .abstract = true,
  .help = "High Definition Audio codec",
  .props = codec_props,
  .klass = &codec_base_class,
};
