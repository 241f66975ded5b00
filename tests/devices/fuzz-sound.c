/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A sound card on the bench and a driver out of its mind: FUZZ_SOUND says which card. */
#include "devices/audio/intel-hda.h"
#include "devices/audio/pcspk.h"
#include "devices/timer/i8257.h"
#include "tests/devices/audio-double.h"
#include "tests/devices/disk-rig.h"
#include "tests/fuzz/fuzz.h"

extern const VmType vm_intel_hda_type, vm_hda_duplex_type, vm_hda_micro_type, vm_ac97_type, vm_es1370_type,
    vm_sb16_type, vm_adlib_type, vm_cs4231a_type, vm_gus_type;

#define PORTS 0xc000
#define PORTS2 0xc100

typedef struct Target
{
  const char *name;
  const VmType *type;
  bool isa;
  uint16_t ports[2][2]; /* first and how many; none: memory of BAR 0 */
  uint16_t hot[12];     /* registers that make it move, from the first one */
} Target;

static const Target targets[] = {
  { "hda",
    &vm_intel_hda_type,
    false,
    { { 0 } },
    { HDA_GCTL, HDA_CORBWP, HDA_RIRBWP, HDA_CORBCTL, HDA_ICOI, HDA_ICIS, 0x100, 0x108, 0x10c, 0x110, 0x80,
      HDA_SSYNC } },
  { "ac97",
    &vm_ac97_type,
    false,
    { { PORTS, 0x80 }, { PORTS2, 0x40 } },
    { 0x110, 0x114, 0x118, 0x100, 0x104, 0x108, 0x12c, 0x2c, 0x32, 0x2a, 0x18, 0x02 } },
  { "es1370",
    &vm_es1370_type,
    false,
    { { PORTS, 0x40 } },
    { 0x00, 0x20, 0x0c, 0x38, 0x3c, 0x30, 0x34, 0x24, 0x28, 0x2c, 0x00, 0x20 } },
  { "sb16", &vm_sb16_type, true, { { 0x220, 0x10 } }, { 0xc, 0xc, 0xc, 0xc, 0xc, 0xc, 0x4, 0x5, 0x6, 0xe, 0xf, 0xc } },
  { "adlib", &vm_adlib_type, true, { { 0x388, 4 } }, { 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1 } },
  { "cs4231a", &vm_cs4231a_type, true, { { 0x534, 4 } }, { 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 2, 3 } },
  { "gus",
    &vm_gus_type,
    true,
    { { 0x240, 0x10 }, { 0x340, 8 } },
    { 0x102, 0x103, 0x104, 0x105, 0x103, 0x104, 0x103, 0x105, 0x107, 0x8, 0x9, 0x0 } },
  { "speaker",
    &vm_pcspk_type,
    true,
    { { 0x40, 0x22 } },
    { 0x3, 0x2, 0x2, 0x21, 0x3, 0x2, 0x2, 0x21, 0x3, 0x2, 0x2, 0x21 } },
};

/* Second ports are 100h after the first ones, in HOT and where they are, or but for the place. */
static void
access_reg (DiskRig *r, const Target *t, unsigned reg, uint32_t value, unsigned size, bool write)
{
  uint32_t at;

  if (!t->ports[0][1])
    {
      if (write)
        rig_store (&r->rig, DISK_RIG_BAR + (reg & 0x3fff), value, size);
      else
        rig_load (&r->rig, DISK_RIG_BAR + (reg & 0x3fff), size);
      return;
    }
  at = reg >= 0x100 && t->ports[1][1] ? t->ports[1][0] + (reg & 0xff) % t->ports[1][1]
                                      : t->ports[0][0] + reg % t->ports[0][1];
  if (write)
    rig_out (&r->rig, (uint16_t) at, value, size);
  else
    rig_in (&r->rig, (uint16_t) at, size);
}

static uint32_t
place (Input *in)
{
  uint32_t kind = take (in, 1), at = take (in, 2);

  switch (kind & 7)
    {
    case 0:
      return (uint32_t) DISK_RIG_BAR + (at & 0x3fff); /* itself */
    case 1:
      return DISK_RIG_RAM - (at & 0xfff);
    default:
      return 0x10000 * (kind >> 3 & 3) + (at & 0xffc0);
    }
}

static void
step (DiskRig *r, const Target *t, Input *in)
{
  uint8_t op = (uint8_t) take (in, 1);
  unsigned size = 1u << (op >> 3 & 3) % 3;

  switch (op & 7)
    {
    case 0:
      access_reg (r, t, take (in, 2), take (in, size), size, op & 0x80);
      break;
    case 1:
    case 2:
    case 3:
      access_reg (r, t, t->hot[take (in, 1) % G_N_ELEMENTS (t->hot)], op & 0x40 ? place (in) : take (in, size),
                  t->isa ? 1 + (op >> 7) : size, true);
      break;
    case 4: /* a descriptor, or commands */
      {
        uint32_t at = place (in);

        if (at >= DISK_RIG_RAM - 16)
          break;
        rig_store (&r->rig, at, place (in), 8);
        rig_store (&r->rig, at + 8, take (in, op & 0x80 ? 1 : 2), 4);
        rig_store (&r->rig, at + 12, take (in, 1), 4);
        break;
      }
    case 5: /* the DMA controllers */
      rig_out (&r->rig, (uint16_t) (op & 0x80 ? 0xc0 + (take (in, 1) & 0x1f) : take (in, 1) & 0xf), take (in, 1), 1);
      break;
    case 6:
      audio_double_tick_all (take (in, op & 0x80 ? 1 : 2) & 0x1fff);
      break;
    case 7:
      rig_advance (&r->rig, (int64_t) take (in, 2) * VM_NS_PER_US);
      break;
    }
}

static void
fit_isa (DiskRig *r, const Target *t)
{
  for (int i = 0; i < 2; i++)
    {
      VmI8257 *dma = (VmI8257 *) vm_device_new (&vm_i8257_type);

      dma->base = i ? 0xc0 : 0;
      dma->page_base = i ? 0x88 : 0x80;
      dma->pageh_base = -1;
      dma->dshift = i;
      rig_add (&r->rig, dma, vm_bus_find_type (&r->rig.env, VM_ISA_BUS_TYPE));
    }
  VmDevice *card = vm_device_new (t->type);
  if (t->type == &vm_pcspk_type)
    {
      VmI8254 *pit = (VmI8254 *) vm_device_new (&vm_i8254_type);
      VmPcspk *speaker = (VmPcspk *) card;

      pit->iobase = 0x40;
      rig_add (&r->rig, pit, vm_bus_find_type (&r->rig.env, VM_ISA_BUS_TYPE));
      speaker->pit = vm_object_ref (&pit->parent.parent.parent);
      speaker->card.audiodev = g_strdup ("s");
    }
  rig_add (&r->rig, card, vm_bus_find_type (&r->rig.env, VM_ISA_BUS_TYPE));
  for (unsigned channel = 0; channel < 8; channel++)
    {
      rig_out (&r->rig, channel < 4 ? 0x0b : 0xd6, 0x58 | (channel & 3), 1);
      rig_out (&r->rig, channel < 4 ? 0x0a : 0xd4, channel & 3, 1);
    }
}

static void
fit_pci (DiskRig *r, const Target *t)
{
  disk_rig_add (r, t->type, 0, (const char *const[]){ "romfile", "", NULL });
  if (t->ports[0][1])
    {
      disk_rig_set_config (r, PCI_BAR0, PORTS, 4);
      disk_rig_set_config (r, PCI_BAR0 + 4, PORTS2, 4);
      return;
    }
  disk_rig_plug (r, &vm_hda_duplex_type, 0, NULL);
  disk_rig_plug (r, &vm_hda_micro_type, 0, (const char *const[]){ "use-timer", "off", NULL });
  disk_rig_write (r, HDA_GCTL, GCTL_CRST);
  disk_rig_write (r, HDA_CORBLBASE, 0x10000);
  disk_rig_write (r, HDA_RIRBLBASE, 0x10800);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_RIRBCTL, 3, 1);
  rig_store (&r->rig, DISK_RIG_BAR + HDA_CORBCTL, 2, 1);
  for (unsigned n = 0; n < HDA_STREAMS; n += HDA_STREAMS_IN) /* streams 1 and 2, to both codecs */
    for (unsigned cad = 0; cad < 2; cad++)
      {
        unsigned sd = HDA_SD + n * HDA_SD_STEP;

        disk_rig_write (r, HDA_ICOI, cad << 28 | (n ? 2u : 4u) << 20 | 0x20011);
        disk_rig_write (r, HDA_ICIS, 1);
        disk_rig_write (r, HDA_ICOI, cad << 28 | (n ? 2u : 4u) << 20 | 0x70610 | (n ? 0x10 : 0));
        disk_rig_write (r, HDA_ICIS, 1);
        disk_rig_write (r, sd + HDA_SD_BDPL, 0x20000 + n * 0x1000);
        disk_rig_write (r, sd + HDA_SD_LVI, 3);
        disk_rig_write (r, sd, (n ? 2u : 1u) << SDCTL_TAG_SHIFT | 0x1e);
      }
}

void
fuzz_one (const uint8_t *data, size_t size)
{
  const Target *t = targets;
  Input in = { data, size };
  DiskRig rig, *r = &rig;

  while (strcmp (t->name, FUZZ_SOUND) != 0)
    t++;
  disk_rig_init (r);
  if (t->isa)
    fit_isa (r, t);
  else
    fit_pci (r, t);
  while (in.left)
    step (r, t, &in);
  disk_rig_clear (r);
}
