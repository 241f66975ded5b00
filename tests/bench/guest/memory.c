/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory: loads and stores, chains of pointers, string instructions, copies, locked operations. */
#include "tests/bench/guest/bench.h"

#include <string.h>

static uint8_t block[1 << 20], other[1 << 20];

/* Every width, signed and unsigned, and a few that cross lines. */
static uint64_t
memory (uint64_t amount)
{
  enum { MASK = 0x7ff8 };
  uint64_t sum = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      uint8_t *at = block + (i * 40 & MASK);
      uint64_t wide;
      uint32_t word;
      int16_t half;

      memcpy (&wide, at, 8);
      memcpy (&word, at + 20, 4);
      memcpy (&half, at + 31, 2);
      sum += wide + word;
      sum ^= (uint64_t) (int64_t) half + (uint64_t) (int8_t) at[5];
      memcpy (at + 8, &sum, 8);
      word = (uint32_t) sum;
      memcpy (at + 22, &word, 4);
      at[40] = sum >> 9;
    }
  return sum;
}

static uint64_t
chase (uint64_t amount)
{
  uint32_t *next = (uint32_t *) (void *) block;
  const uint32_t count = sizeof block / sizeof *next;
  uint32_t at = 0;

  /* A full cycle: a multiplier of 4 k + 1 and an odd increment, modulo a power of two. */
  for (uint32_t i = 0; i < count; i++)
    next[i] = (i * 1664525u + 1013904223u) & (count - 1);
  for (uint64_t i = 0; i < amount; i++)
    at = next[at];
  return at;
}

/* A walk with a step of a page and more: misses of the processor's translation caches. */
static uint64_t
pages (uint64_t amount)
{
  static uint8_t wide[48 << 20];
  const uint32_t count = sizeof wide / 4096;
  uint64_t sum = 0;
  uint32_t page = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      page = (page + 7919) % count;
      sum += wide[page * 4096 + (page & 63) * 64]++;
    }
  return sum;
}

static inline void
rep_movsb (void *to, const void *from, size_t size)
{
  __asm__ volatile ("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

static inline void
rep_stos (void *to, uintptr_t value, size_t count)
{
  __asm__ volatile (
#ifdef __x86_64__
    "rep stosq"
#else
    "rep stosl"
#endif
    : "+D"(to), "+c"(count)
    : "a"(value)
    : "memory");
}

static uint64_t
rep_copy (uint64_t amount)
{
  for (uint64_t i = 0; i < amount; i++)
    {
      rep_movsb (block + (i & 31), other + (i & 15), 9000);
      rep_movsb (other + 20000, block, 8192);
    }
  return bench_mix_bytes (0, block, 64);
}

static uint64_t
rep_fill (uint64_t amount)
{
  for (uint64_t i = 0; i < amount; i++)
    rep_stos (block + (i & 7) * 4096, (uintptr_t) i, 4096 / sizeof (uintptr_t));
  return bench_mix_bytes (0, block, 4 * 4096);
}

/* As kernels and compilers use it: a few words at a time. */
static uint64_t
rep_short (uint64_t amount)
{
  for (uint64_t i = 0; i < amount; i++)
    {
      rep_movsb (block + (i & 31), other + (i & 15), 24 + (i & 31));
      rep_stos (other + 64, (uintptr_t) i, 6);
    }
  return bench_mix_bytes (0, block, 64);
}

static uint64_t
scan (uint64_t amount)
{
  uint64_t sum = 0;

  memset (block, 1, 8192);
  block[8000] = 0;
  for (uint64_t i = 0; i < amount; i++)
    {
      const uint8_t *at = block + (i & 63);
      size_t left = 8192;

      __asm__ volatile ("repne scasb" : "+D"(at), "+c"(left) : "a"(0) : "cc", "memory");
      sum += left;
    }
  return sum;
}

static uint64_t
copy (uint64_t amount)
{
  static const unsigned sizes[] = { 65536, 3000, 12000, 500, 40000, 1500, 8192, 300 };

  memset (other, 7, sizeof other);
  for (uint64_t i = 0; i < amount; i++)
    {
      void *volatile to = block + (i % 7) * 64 + i % 3;

      memcpy (to, other + i % 5, sizes[i & 7]);
      other[i & 4095]++;
    }
  return bench_mix_bytes (0, block, 4096);
}

static uint64_t
copy_small (uint64_t amount)
{
  for (uint64_t i = 0; i < amount; i++)
    {
      void *volatile to = block + (i & 255) * 8;
      volatile size_t size = 8 + (i * 7 & 63);

      memcpy (to, other + (i & 127), size);
      memset (to, (int) i, size / 2);
    }
  return bench_mix_bytes (0, block, 4096);
}

static uint64_t
strings (uint64_t amount)
{
  char *text = (char *) block;
  uint64_t sum = 0;

  for (size_t i = 0; i < 4095; i++)
    text[i] = 'a' + i % 23;
  text[4095] = 0;
  memcpy (other, text, 4096);
  for (uint64_t i = 0; i < amount; i++)
    {
      const char *volatile at = text + i % 64;

      sum += strlen (at);
      sum += memchr (at, 'z', 3000) != NULL;
      sum += (uint64_t) strcmp (text, (char *) other);
      sum += (size_t) (strchr (at + 100, 'w') - text);
      sum += (uint64_t) memcmp (text, other, 2000);
    }
  return sum;
}

static uint64_t
locked (uint64_t amount)
{
  uint32_t word = 0;
  uintptr_t wide = 1;
  uintptr_t sum = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      uintptr_t expected = wide;

      __atomic_fetch_add (&word, 3, __ATOMIC_SEQ_CST);
      sum += __atomic_fetch_add (&wide, (uintptr_t) i, __ATOMIC_SEQ_CST);
      __atomic_compare_exchange_n (&wide, &expected, sum, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
      sum ^= __atomic_exchange_n (&word, (uint32_t) sum, __ATOMIC_SEQ_CST);
      __atomic_or_fetch (&word, 4, __ATOMIC_SEQ_CST);
    }
  return bench_mix (sum, wide);
}

const BenchRow bench_memory[] = {
  { "memory", memory },       { "chase", chase },         { "pages", pages }, { "rep-copy", rep_copy },
  { "rep-fill", rep_fill },   { "rep-short", rep_short }, { "scan", scan },   { "copy", copy },
  { "copy-small", copy_small }, { "strings", strings },   { "locked", locked },
  { NULL, NULL },
};
