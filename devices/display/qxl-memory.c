/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QXL: what guests point to. An address is a slot's number, its generation and an offset from the slot's start; slots
 * lie in BAR 0 or in video memory (spice/qxl_dev.h: QXLMemSlot, QXLPHYSICAL, QXLDataChunk). */
#include "devices/display/qxl.h"

#include "engine/base/log.h"

#define OFFSET_BITS 48 /* 8 bits of slot and 8 of generation above: slot_id_bits, slot_gen_bits of the ROM */

void
qxl_complain (Qxl *s, const char *what, uint64_t value)
{
  vm_guest_error (vm_device_path (&s->parent.parent), "%s 0x%" G_GINT64_MODIFIER "x", what, (guint64) value);
}

static VmRegion *
region_of (Qxl *s, unsigned bar)
{
  return bar ? &s->vram : &s->vga.vram;
}

bool
qxl_find (Qxl *s, QXLPHYSICAL addr, uint64_t size, QxlMem *mem)
{
  unsigned slot = addr >> 56, generation = addr >> OFFSET_BITS & 0xff;
  uint64_t offset = addr & ((UINT64_C (1) << OFFSET_BITS) - 1);

  if (slot >= QXL_SLOTS || generation || !s->slot_active[slot] || offset > s->slot_size[slot]
      || size > s->slot_size[slot] - offset)
    {
      qxl_complain (s, "no memory slot for", addr);
      return false;
    }
  mem->bar = s->slot_bar[slot];
  mem->offset = s->slot_start[slot] + offset;
  mem->at = region_of (s, mem->bar)->ram->host + mem->offset;
  return true;
}

bool
qxl_read (Qxl *s, QXLPHYSICAL addr, void *buf, uint64_t size)
{
  QxlMem mem;

  if (!qxl_find (s, addr, size, &mem))
    return false;
  memcpy (buf, mem.at, size);
  return true;
}

void
qxl_written (Qxl *s, unsigned bar, uint64_t offset, uint64_t size)
{
  vm_ram_written (s->parent.parent.env->memory, region_of (s, bar)->ram, offset, size);
}

uint8_t *
qxl_gather (Qxl *s, QXLPHYSICAL addr, uint64_t *size)
{
  g_autofree uint8_t *all = g_try_malloc (MAX (*size, 1));
  uint64_t got = 0;

  for (unsigned n = 0; all && got < *size; n++)
    {
      QXLDataChunk chunk;
      if (n == QXL_CHUNKS_MAX || !qxl_read (s, addr, &chunk, sizeof chunk))
        return NULL;
      uint64_t more = MIN (chunk.data_size, *size - got);
      if (!qxl_read (s, addr + sizeof chunk, all + got, more))
        return NULL;
      got += more;
      if (!chunk.next_chunk)
        break;
      addr = chunk.next_chunk;
    }
  *size = got;
  return g_steal_pointer (&all);
}

/* START and END are guest-physical and must lie in one BAR as it is mapped now. */
bool
qxl_add_slot (Qxl *s, unsigned slot, uint64_t start, uint64_t end)
{
  static const struct
  {
    uint8_t bar, memory;
  } bars[] = { { 0, 0 }, { 1, 1 }, { 4, 1 } };

  for (unsigned i = 0; slot < QXL_SLOTS && start < end && i < G_N_ELEMENTS (bars); i++)
    {
      uint64_t base = vm_pci_bar_address (&s->parent, bars[i].bar), size = region_of (s, bars[i].memory)->size;
      if (base == UINT64_MAX || start < base || end < base || end - base > MIN (size, s->parent.bar[bars[i].bar].size))
        continue;
      s->slot_active[slot] = true;
      s->slot_bar[slot] = bars[i].memory;
      s->slot_start[slot] = start - base;
      s->slot_size[slot] = end - start;
      return true;
    }
  qxl_complain (s, "a memory slot that is in no BAR begins at", start);
  return false;
}

void
qxl_remove_slot (Qxl *s, unsigned slot)
{
  if (slot < QXL_SLOTS)
    s->slot_active[slot] = false;
}
