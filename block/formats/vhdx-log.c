/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log of VHDX images ([MS-VHDX] 2.3): finding the active sequence of entries, and writing what they hold. */
#include "block/formats/vhdx-private.h"

#include <inttypes.h>

enum
{
  SECTOR = 4096,
  ENTRY_HEADER = 64,
  AT_LEN = 8,
  AT_TAIL = 12,
  AT_NUMBER = 16,
  AT_DESCRIPTORS = 24,
  AT_GUID = 32,
  AT_FLUSHED = 48,
  AT_LAST = 56,
  DESCRIPTOR = 32,
};
#define MAX_LOG (64 * VM_MIB)

typedef struct Log
{
  uint8_t *bytes; /* all of it */
  uint32_t len;
  const uint8_t *guid;
} Log;

/* The entry at OFFSET in one piece, or NULL when none is there. */
static uint8_t *
log_entry (const Log *log, uint32_t offset)
{
  const uint8_t *h = log->bytes + offset;
  uint32_t len = vm_load_le32 (h + AT_LEN), n = vm_load_le32 (h + AT_DESCRIPTORS);

  if (memcmp (h, "loge", 4) || memcmp (h + AT_GUID, log->guid, 16) || !len || len % SECTOR || len > log->len)
    return NULL;
  if (!vm_load_le64 (h + AT_NUMBER) || vm_load_le32 (h + AT_TAIL) % SECTOR || vm_load_le32 (h + AT_TAIL) >= log->len
      || n > (len - ENTRY_HEADER) / DESCRIPTOR)
    return NULL;
  uint8_t *entry = g_malloc (len);
  uint32_t first = MIN (len, log->len - offset);
  memcpy (entry, h, first);
  memcpy (entry + first, log->bytes, len - first);
  if (vm_load_le32 (entry + 4) != vm_vhdx_crc (entry, len, 4))
    g_clear_pointer (&entry, g_free);
  return entry;
}

typedef struct Sequence
{
  uint32_t tail; /* of its last entry: where replay starts */
  uint64_t number;
  uint64_t last_offset;
  bool found;
} Sequence;

/* The sequence of entries that starts at OFFSET, if there is one; it is active when its last entry's tail is in it. */
static Sequence
sequence_at (const Log *log, uint32_t offset)
{
  Sequence seq = { 0 };
  g_autoptr (GArray) starts = g_array_new (FALSE, FALSE, sizeof (uint32_t));
  uint64_t number = 0, walked = 0;
  uint32_t at = offset;

  while (walked < log->len)
    {
      g_autofree uint8_t *entry = log_entry (log, at);
      if (!entry || (number && vm_load_le64 (entry + AT_NUMBER) != number + 1))
        break;
      number = vm_load_le64 (entry + AT_NUMBER);
      g_array_append_val (starts, at);
      seq.tail = vm_load_le32 (entry + AT_TAIL);
      seq.number = number;
      seq.last_offset = vm_load_le64 (entry + AT_LAST);
      at = (at + vm_load_le32 (entry + AT_LEN)) % log->len;
      walked += vm_load_le32 (entry + AT_LEN);
    }
  for (unsigned i = 0; i < starts->len; i++)
    seq.found |= g_array_index (starts, uint32_t, i) == seq.tail;
  return seq;
}

static Sequence
active_sequence (const Log *log)
{
  Sequence best = { 0 };

  for (uint32_t at = 0; at < log->len; at += SECTOR)
    if (!memcmp (log->bytes + at, "loge", 4))
      {
        Sequence seq = sequence_at (log, at);
        if (seq.found && (!best.found || seq.number > best.number))
          best = seq;
      }
  return best;
}

static int
replay_descriptor (VmNode *file, const uint8_t *d, const uint8_t *sector, uint64_t number)
{
  uint64_t offset = vm_load_le64 (d + 16);

  if (vm_load_le64 (d + 24) != number || offset % SECTOR || offset > MAX_LOG * 1048576)
    return -1;
  if (!memcmp (d, "zero", 4))
    {
      uint64_t len = vm_load_le64 (d + 8);
      if (len % SECTOR || len > INT64_MAX - offset)
        return -1;
      return vm_map_within (offset, len, file->size) ? vm_node_write_zeroes (file, offset, len, 0) : -1;
    }
  if (memcmp (d, "desc", 4) || !sector || memcmp (sector, "data", 4)
      || vm_load_le32 (sector + 4) != (uint32_t) (number >> 32)
      || vm_load_le32 (sector + SECTOR - 4) != (uint32_t) number)
    return -1;
  uint8_t data[SECTOR];
  memcpy (data, sector, SECTOR);
  memcpy (data, d + 8, 8);
  memcpy (data + SECTOR - 4, d + 4, 4);
  int err = vm_file_grow (file, offset, SECTOR);
  return err ? err : vm_node_pwrite (file, offset, data, SECTOR);
}

static bool
replay_entry (VmNode *file, const uint8_t *entry)
{
  uint32_t n = vm_load_le32 (entry + AT_DESCRIPTORS), len = vm_load_le32 (entry + AT_LEN);
  uint64_t number = vm_load_le64 (entry + AT_NUMBER),
           data = VM_ALIGN_UP (ENTRY_HEADER + n * (uint64_t) DESCRIPTOR, SECTOR);

  for (uint32_t i = 0; i < n; i++)
    {
      const uint8_t *d = entry + ENTRY_HEADER + i * DESCRIPTOR, *sector = NULL;
      if (!memcmp (d, "desc", 4) && data + SECTOR <= len)
        {
          sector = entry + data;
          data += SECTOR;
        }
      if (replay_descriptor (file, d, sector, number) < 0)
        return false;
    }
  return true;
}

static bool
replay_sequence (VmNode *node, const Log *log, const Sequence *seq, GError **error)
{
  VmNode *file = node->file->node;
  uint64_t number = 0;

  if (seq->last_offset > INT64_MAX / 2 || vm_file_grow (file, 0, seq->last_offset))
    return vm_fail (error, "Could not replay the log of the VHDX image");
  for (uint32_t at = seq->tail; number != seq->number;)
    {
      g_autofree uint8_t *entry = log_entry (log, at);
      if (!entry || !replay_entry (file, entry))
        return vm_fail (error, "Could not replay the log of the VHDX image");
      number = vm_load_le64 (entry + AT_NUMBER);
      at = (at + vm_load_le32 (entry + AT_LEN)) % log->len;
    }
  int err = vm_node_flush (file);
  return err >= 0 || vm_fail (error, "Could not replay the log of the VHDX image: %s", g_strerror (-err));
}

bool
vm_vhdx_replay (VmNode *node, bool *replayed, GError **error)
{
  Vhdx *s = node->state;
  static const uint8_t none[16];
  uint8_t guid[16];

  *replayed = false;
  memcpy (guid, s->header + VHDX_AT_LOG_GUID, 16);
  if (!memcmp (guid, none, 16))
    return true;
  if (vm_load_le16 (s->header + VHDX_AT_LOG_VERSION))
    return vm_fail (error, "The log of the VHDX image is of an unknown version");
  if (!s->log_len || s->log_len > MAX_LOG || !vm_map_within (s->log, s->log_len, node->file->node->size))
    return vm_fail (error, "The log of the VHDX image does not lie where one can");
  g_autofree uint8_t *bytes = g_malloc (s->log_len);
  if (!vm_file_read_header (node->file->node, s->log, bytes, s->log_len, error))
    return false;
  Log log = { bytes, s->log_len, guid };
  Sequence seq = active_sequence (&log);
  if (!seq.found)
    return true; /* nothing had begun to be written */
  if (node->readonly || (node->open_flags & VM_OPEN_READONLY))
    return vm_fail (error,
                    "VHDX image file '%s' opened read-only, but contains a log that needs to be replayed\n"
                    "To replay the log, run:\nvitrine-img check -r all '%s'",
                    node->file->node->filename, node->file->node->filename);
  if (!replay_sequence (node, &log, &seq, error))
    return false;
  *replayed = true;
  memset (s->header + VHDX_AT_LOG_GUID, 0, 16);
  return vm_vhdx_write_header (node, error) && vm_vhdx_write_header (node, error);
}
