/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RAM in a stream. Sections of the kind "ram" carry the name of a block, its size, an offset and the pages from there
 * on; what is in none of them is zero. */
#include "engine/state/state.h"
#include "engine/state/state-private.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#define RAM_HEAD 16 /* size of the block, offset: uint64 each */
#define RAM_PIECE VM_MIB

/* Blocks of one name are told apart by their number. */
static char *
block_name (const GPtrArray *blocks, guint index)
{
  const VmRamBlock *block = blocks->pdata[index];
  unsigned n = 1;

  for (guint i = 0; i < index; i++)
    n += strcmp (((VmRamBlock *) blocks->pdata[i])->name, block->name) == 0;
  return n == 1 ? g_strdup (block->name) : g_strdup_printf ("%s#%u", block->name, n);
}

static bool
page_is_zero (const uint8_t *page)
{
  return page[0] == 0 && memcmp (page, page + 1, VM_PAGE_SIZE - 1) == 0;
}

/* The first page from OFFSET on that may hold something. What the host never gave out is not touched: looking at it
 * would make it give it out. */
static uint64_t
skip_hole (const VmRamBlock *block, uint64_t offset)
{
  off_t at;

  if (block->fd < 0 || !block->shared)
    return offset;
  at = lseek (block->fd, (off_t) (block->fd_offset + offset), SEEK_DATA);
  if (at < 0)
    return errno == ENXIO ? block->size : offset;
  at -= (off_t) block->fd_offset;
  return CLAMP ((uint64_t) at & ~(uint64_t) (VM_PAGE_SIZE - 1), offset, block->size);
}

/* --- saving ----------------------------------------------------------------------------------------------------- */

static bool
write_piece (const VmStateWriter *writer, const VmRamBlock *block, const char *name, uint64_t from, uint64_t to,
             GError **error)
{
  size_t size = RAM_HEAD + (size_t) (to - from);
  g_autofree uint8_t *data = g_malloc (size);

  vm_store_le64 (data, block->size);
  vm_store_le64 (data + 8, from);
  memcpy (data + RAM_HEAD, block->host + from, (size_t) (to - from));
  return vm_state_write_section (writer, KIND_RAM, name, data, size, error);
}

static bool
write_block (const VmStateWriter *writer, const VmRamBlock *block, const char *name, GError **error)
{
  uint64_t at = 0;

  if (!write_piece (writer, block, name, 0, 0, error)) /* that it is there, should it be all zero */
    return false;
  while ((at = skip_hole (block, at)) < block->size)
    {
      uint64_t end = MIN (block->size, at + RAM_PIECE), to = at;

      if (page_is_zero (block->host + at))
        {
          at += VM_PAGE_SIZE;
          continue;
        }
      while (to < end && !page_is_zero (block->host + to))
        to += VM_PAGE_SIZE;
      if (!write_piece (writer, block, name, at, to, error))
        return false;
      at = to;
    }
  return true;
}

bool
vm_state_write_ram (const VmStateWriter *writer, VmMemory *memory, GError **error)
{
  g_autoptr (GPtrArray) blocks = vm_memory_ram_blocks (memory);

  for (guint i = 0; i < blocks->len; i++)
    {
      g_autofree char *name = block_name (blocks, i);

      if (!write_block (writer, blocks->pdata[i], name, error))
        return false;
    }
  return vm_state_write_section (writer, KIND_RAM, "", NULL, 0, error);
}

/* --- loading ---------------------------------------------------------------------------------------------------- */

struct VmStateRam
{
  VmMemory *memory;
  GPtrArray *blocks;   /* VmRamBlock * */
  GHashTable *numbers; /* name -> index + 1 */
  GArray *next;        /* uint64_t: up to where each block is loaded; UINT64_MAX: not begun */
  bool complete;
};

VmStateRam *
vm_state_ram_new (VmMemory *memory)
{
  VmStateRam *ram = g_new0 (VmStateRam, 1);
  uint64_t none = UINT64_MAX;

  ram->memory = memory;
  ram->blocks = vm_memory_ram_blocks (memory);
  ram->numbers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  ram->next = g_array_new (FALSE, FALSE, sizeof none);
  for (guint i = 0; i < ram->blocks->len; i++)
    {
      g_hash_table_insert (ram->numbers, block_name (ram->blocks, i), GUINT_TO_POINTER (i + 1));
      g_array_append_val (ram->next, none);
    }
  return ram;
}

void
vm_state_ram_free (VmStateRam *ram)
{
  if (!ram)
    return;
  /* Also when the stream ended early: processors must see what is there now. */
  for (guint i = 0; i < ram->blocks->len; i++)
    if (g_array_index (ram->next, uint64_t, i) != UINT64_MAX)
      vm_ram_written (ram->memory, ram->blocks->pdata[i], 0, ((VmRamBlock *) ram->blocks->pdata[i])->size);
  g_ptr_array_unref (ram->blocks);
  g_hash_table_unref (ram->numbers);
  g_array_unref (ram->next);
  g_free (ram);
}

static void
clear (VmRamBlock *block, uint64_t from, uint64_t to)
{
  for (uint64_t at = skip_hole (block, from); at < to; at = skip_hole (block, at + VM_PAGE_SIZE))
    if (!page_is_zero (block->host + at))
      memset (block->host + at, 0, VM_PAGE_SIZE);
}

static bool
finish (VmStateRam *ram, GError **error)
{
  for (guint i = 0; i < ram->blocks->len; i++)
    {
      VmRamBlock *block = ram->blocks->pdata[i];
      uint64_t next = g_array_index (ram->next, uint64_t, i);

      if (next == UINT64_MAX)
        return vm_fail (error, "%s: no saved contents for this RAM", block->name);
      clear (block, next, block->size);
    }
  ram->complete = true;
  return true;
}

bool
vm_state_ram_load (VmStateRam *ram, const VmStateSection *section, GError **error)
{
  guint number = GPOINTER_TO_UINT (g_hash_table_lookup (ram->numbers, section->name));
  g_autofree char *name = g_strescape (section->name, NULL);

  if (!*section->name && !section->size)
    return ram->complete ? vm_fail (error, "saved RAM ends twice") : finish (ram, error);
  if (!number || ram->complete)
    return vm_fail (error, "%s: saved, but no RAM of this machine", name);
  VmRamBlock *block = ram->blocks->pdata[number - 1];
  uint64_t *next = &g_array_index (ram->next, uint64_t, number - 1);
  if (section->size < RAM_HEAD || (section->size - RAM_HEAD) % VM_PAGE_SIZE)
    return vm_fail (error, "%s: saved RAM is damaged", name);
  uint64_t size = vm_load_le64 (section->data), from = vm_load_le64 (section->data + 8);
  uint64_t len = section->size - RAM_HEAD, done = *next == UINT64_MAX ? 0 : *next;
  if (size != block->size)
    return vm_fail (error, "%s: saved with %" PRIu64 " bytes instead of %" PRIu64, name, size, block->size);
  if (from < done || from > size || len > size - from || from % VM_PAGE_SIZE)
    return vm_fail (error, "%s: saved RAM is damaged", name);
  clear (block, done, from);
  memcpy (block->host + from, section->data + RAM_HEAD, len);
  *next = from + len;
  return true;
}

bool
vm_state_ram_complete (const VmStateRam *ram)
{
  return ram->complete;
}
