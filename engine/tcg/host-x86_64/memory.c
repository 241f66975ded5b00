/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Code memory: one memfd mapped twice (writable; executable), or once where the user wants split-wx=off, cut into
 * segments that are evicted first in, first out. Beside each segment an arena for what describes its blocks. */
#include "engine/tcg/host-x86_64/jit-private.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static void *
map (size_t size, int prot, int flags, int fd)
{
  void *p = mmap (NULL, size, prot, flags, fd, 0);

  return p == MAP_FAILED ? NULL : p;
}

bool
jit_memory_init (VmJit *jit, size_t size, bool split, GError **error)
{
  size_t hash_size = JUMP_HASH_SIZE * sizeof (JumpEntry);
  size_t segment = size / N_SEGMENTS & ~(size_t) 0xffff;
  size_t total = STUBS_SIZE + hash_size + segment * N_SEGMENTS;
  int fd = memfd_create ("vm-code", MFD_CLOEXEC);

  if (fd < 0 || ftruncate (fd, total) < 0)
    {
      vm_fail (error, "could not allocate translation memory: %s", g_strerror (errno));
      if (fd >= 0)
        close (fd);
      return false;
    }
  jit->size = total;
  jit->meta_size = segment * N_SEGMENTS;
  int code = PROT_READ | PROT_EXEC | (split ? 0 : PROT_WRITE);
  jit->rx = map (total, code, MAP_SHARED | MAP_32BIT, fd);
  if (jit->rx == NULL)
    jit->rx = map (total, code, MAP_SHARED, fd);
  jit->rw = split ? map (total, PROT_READ | PROT_WRITE, MAP_SHARED, fd) : jit->rx;
  jit->meta = map (jit->meta_size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_32BIT, -1);
  if (jit->meta == NULL)
    jit->meta = map (jit->meta_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  close (fd);
  if (!jit->rw || !jit->rx || !jit->meta)
    return vm_fail (error, "could not map translation memory: %s", g_strerror (errno));

  jit->rx_offset = jit->rx - jit->rw;
  jit->jump_hash = (JumpEntry *) (void *) (jit->rw + STUBS_SIZE);
  jit->jump_hash_pc = jit->rx + STUBS_SIZE;
  for (unsigned i = 0; i < N_SEGMENTS; i++)
    {
      JitSegment *s = &jit->segment[i];
      uint8_t *start = jit->rw + STUBS_SIZE + hash_size + i * segment;
      size_t hot = segment / 8 * 5;

      s->hot = s->hot_start = start;
      s->hot_end = s->cold = s->cold_start = start + hot;
      s->cold_end = start + segment;
      s->meta = s->meta_start = jit->meta + i * segment;
      s->meta_end = s->meta_start + segment;
      s->blocks = g_ptr_array_new ();
    }
  return true;
}

void
jit_memory_free (VmJit *jit)
{
  for (unsigned i = 0; i < N_SEGMENTS; i++)
    g_clear_pointer (&jit->segment[i].blocks, g_ptr_array_unref);
  if (jit->rw && jit->rw != jit->rx)
    munmap (jit->rw, jit->size);
  if (jit->rx)
    munmap (jit->rx, jit->size);
  if (jit->meta)
    munmap (jit->meta, jit->meta_size);
}

static bool
segment_has_room (const JitSegment *s)
{
  return s->hot_end - s->hot >= BLOCK_MAX_HOT && s->cold_end - s->cold >= BLOCK_MAX_COLD &&
         s->meta_end - s->meta >= BLOCK_MAX_HOT;
}

void
jit_memory_reserve (VmJit *jit)
{
  JitSegment *s = &jit->segment[jit->current];

  if (G_LIKELY (segment_has_room (s)))
    return;
  jit->current = (jit->current + 1) % N_SEGMENTS;
  s = &jit->segment[jit->current];
  for (unsigned i = 0; i < s->blocks->len; i++)
    vm_code_forget (jit->code, s->blocks->pdata[i]);
  g_ptr_array_set_size (s->blocks, 0);
  s->hot = s->hot_start;
  s->cold = s->cold_start;
  s->meta = s->meta_start;
  jit->pending = NULL;
}

VmBlock *
jit_memory_find (VmJit *jit, const uint8_t *pc)
{
  for (unsigned i = 0; i < N_SEGMENTS; i++)
    {
      const JitSegment *s = &jit->segment[i];
      const uint8_t *at = pc - jit->rx_offset;
      unsigned low = 0, high = s->blocks->len;

      if (at < s->hot_start || at >= s->hot)
        continue;
      while (low < high)
        {
          unsigned middle = (low + high) / 2;
          VmBlock *block = s->blocks->pdata[middle];

          if (pc < block->host_start)
            high = middle;
          else if (pc >= block->host_end)
            low = middle + 1;
          else
            return block;
        }
    }
  return NULL;
}
