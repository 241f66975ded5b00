/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JPEG files that one viewer is sent are kept a while for others who want the same, known by a checksum of the pixels.
 */
#include "ui/vnc/encode.h"

#include <isa-l/crc64.h>

#define KEPT 64

struct VncJpegs
{
  GMutex mutex;
  GCond made;
  GHashTable *files; /* by checksum: GByteArray; under the mutex, as the rest; an empty one is being made */
  GQueue sums;       /* of those that have been made, the oldest first; they belong to FILES */
};

VncJpegs *
vnc_jpegs_new (void)
{
  VncJpegs *j = g_new0 (VncJpegs, 1);

  g_mutex_init (&j->mutex);
  g_cond_init (&j->made);
  j->files = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, (GDestroyNotify) g_byte_array_unref);
  return j;
}

void
vnc_jpegs_free (VncJpegs *j)
{
  if (!j)
    return;
  g_queue_clear (&j->sums);
  g_hash_table_unref (j->files);
  g_cond_clear (&j->made);
  g_mutex_clear (&j->mutex);
  g_free (j);
}

static void
forget (VncJpegs *j, unsigned most)
{
  while (j->sums.length > most)
    g_hash_table_remove (j->files, g_queue_pop_head (&j->sums));
}

void
vnc_jpegs_clear (VncJpegs *j)
{
  g_mutex_lock (&j->mutex);
  forget (j, 0);
  g_mutex_unlock (&j->mutex);
}

static uint64_t
sum_of (const VncPicture *pic, int quality, int subsampling)
{
  uint32_t how[] = { pic->width, pic->height, (uint32_t) quality, (uint32_t) subsampling };
  uint64_t sum = crc64_ecma_refl (0, (const uint8_t *) how, sizeof how);

  for (unsigned y = 0; y < pic->height; y++)
    sum = crc64_ecma_refl (sum, (const uint8_t *) (pic->pixels + y * pic->stride), pic->width * 4);
  return sum;
}

static GByteArray *
make (const VncPicture *pic, int quality, int subsampling)
{
  GByteArray *file = g_byte_array_new ();

  vnc_make_jpeg (pic, quality, subsampling, file);
  return file;
}

/* Under the mutex, but for the making. */
static GByteArray *
make_first (VncJpegs *j, uint64_t sum, const VncPicture *pic, int quality, int subsampling)
{
  g_hash_table_insert (j->files, g_memdup2 (&sum, sizeof sum), g_byte_array_new ());
  g_mutex_unlock (&j->mutex);
  GByteArray *file = make (pic, quality, subsampling);
  g_mutex_lock (&j->mutex);
  if (file->len)
    {
      uint64_t *key = g_memdup2 (&sum, sizeof sum);
      g_hash_table_replace (j->files, key, g_byte_array_ref (file));
      g_queue_push_tail (&j->sums, key);
      forget (j, KEPT);
    }
  else /* whoever waits may try */
    g_hash_table_remove (j->files, &sum);
  g_cond_broadcast (&j->made);
  return file;
}

GByteArray *
vnc_jpegs_get (VncJpegs *j, const VncPicture *pic, int quality, int subsampling)
{
  GByteArray *file;

  if (!j)
    return make (pic, quality, subsampling);
  uint64_t sum = sum_of (pic, quality, subsampling);
  g_mutex_lock (&j->mutex);
  while ((file = g_hash_table_lookup (j->files, &sum)) && !file->len)
    g_cond_wait (&j->made, &j->mutex);
  file = file ? g_byte_array_ref (file) : make_first (j, sum, pic, quality, subsampling);
  g_mutex_unlock (&j->mutex);
  return file;
}
