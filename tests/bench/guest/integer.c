/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Integer arithmetic: plain mixes, carry chains, checksums, compression, sorting, searching. */
#include "tests/bench/guest/bench.h"

#include <stdlib.h>
#include <string.h>

static uint64_t
alu (uint64_t amount)
{
  uintptr_t a = 1, b = 2, c = 3, d = 5;

  for (uint64_t i = 0; i < amount; i++)
    {
      a += b ^ (c << 3);
      b = (b >> 7 | b << (sizeof b * 8 - 7)) - d;
      c = (c & a) | (~c & b);
      d = d * 13 + (uintptr_t) i;
      if ((a & 7) == 3)
        c ^= d >> 2;
      b += a > d;
    }
  return bench_mix (bench_mix (a, b), bench_mix (c, d));
}

/* Schoolbook product of numbers of 16 words, by the carry chain compilers and libraries emit for it. */
static uint64_t
carry (uint64_t amount)
{
#ifdef __x86_64__
  enum { N = 16 };
  uint64_t x[N], y[N], z[2 * N];
  uint64_t hash = 0;
  uint32_t seed = 7;

  for (int i = 0; i < N; i++)
    {
      x[i] = (uint64_t) bench_random (&seed) << 40 | bench_random (&seed);
      y[i] = (uint64_t) bench_random (&seed) << 40 | bench_random (&seed);
    }
  for (uint64_t round = 0; round < amount; round++)
    {
      memset (z, 0, sizeof z);
      for (int i = 0; i < N; i++)
        {
          uint64_t high = 0;

          for (int j = 0; j < N; j++)
            {
              uint64_t low = x[i], top = y[j];

              __asm__ ("mulq %1\n\taddq %3, %0\n\tadcq $0, %1\n\taddq %0, %2\n\tadcq $0, %1"
                       : "+a"(low), "+d"(top), "+m"(z[i + j])
                       : "r"(high)
                       : "cc");
              high = top;
            }
          z[i + N] = high;
        }
      /* And a sum in one unbroken chain. */
      __asm__ ("xorl %%eax, %%eax\n"
               "1:\tmovq (%0,%%rax,8), %%rdx\n\tadcq %%rdx, (%1,%%rax,8)\n"
               "\tleaq 1(%%rax), %%rax\n\tleaq -16(%%rax), %%rcx\n\tjrcxz 2f\n\tjmp 1b\n2:"
               :
               : "r"(z), "r"(x)
               : "rax", "rcx", "rdx", "cc", "memory");
      hash = bench_mix (hash, z[round % (2 * N)]);
    }
  return hash;
#else
  return amount;
#endif
}

static uint64_t
divide (uint64_t amount)
{
  uint64_t sum = 0, value = 0x123456789abcdefu;

  for (uint64_t i = 1; i <= amount; i++)
    {
      sum += value / (i | 1);
      sum ^= value % ((i >> 3) + 3);
      value = value * 6364136223846793005u + 1442695040888963407u;
    }
  return sum;
}

static uint64_t
crc32 (uint64_t amount)
{
  static uint32_t table[256];
  static uint8_t data[16384];
  uint32_t crc = ~0u, seed = 1;

  for (uint32_t i = 0; i < 256; i++)
    {
      table[i] = i;
      for (int bit = 0; bit < 8; bit++)
        table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = bench_random (&seed);
  for (uint64_t round = 0; round < amount; round++)
    for (size_t i = 0; i < sizeof data; i++)
      crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
  return crc;
}

static inline uint32_t
rotate (uint32_t value, int count)
{
  return value >> count | value << (32 - count);
}

static void
sha256_block (uint32_t state[8], const uint32_t k[64], const uint8_t *block)
{
  uint32_t w[64], s[8];

  for (int i = 0; i < 16; i++)
    {
      uint32_t word;

      memcpy (&word, block + i * 4, 4);
      w[i] = __builtin_bswap32 (word);
    }
  for (int i = 16; i < 64; i++)
    w[i] = w[i - 16] + w[i - 7] + (rotate (w[i - 15], 7) ^ rotate (w[i - 15], 18) ^ w[i - 15] >> 3)
           + (rotate (w[i - 2], 17) ^ rotate (w[i - 2], 19) ^ w[i - 2] >> 10);
  memcpy (s, state, sizeof s);
  for (int i = 0; i < 64; i++)
    {
      uint32_t t1 = s[7] + (rotate (s[4], 6) ^ rotate (s[4], 11) ^ rotate (s[4], 25))
                    + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
      uint32_t t2 = (rotate (s[0], 2) ^ rotate (s[0], 13) ^ rotate (s[0], 22))
                    + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

      memmove (s + 1, s, 7 * sizeof *s);
      s[4] += t1;
      s[0] = t1 + t2;
    }
  for (int i = 0; i < 8; i++)
    state[i] += s[i];
}

static uint64_t
sha256 (uint64_t amount)
{
  uint32_t k[64], state[8], seed = 3; /* constants of our own: only the work has to be that of SHA-256 */
  uint8_t data[4096];

  for (int i = 0; i < 64; i++)
    k[i] = bench_random (&seed) << 8 ^ bench_random (&seed);
  for (int i = 0; i < 8; i++)
    state[i] = bench_random (&seed);
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = bench_random (&seed);
  for (uint64_t round = 0; round < amount; round++)
    for (size_t i = 0; i < sizeof data; i += 64)
      sha256_block (state, k, data + i);
  return bench_mix_bytes (0, state, sizeof state);
}

/* Text of few words, so that there are matches to find. */
static void
make_text (uint8_t *text, size_t size, uint32_t seed)
{
  static const char *const words[] = { "the ",  "machine ", "of ",   "memory ", "page ",  "a ",
                                       "table ", "reads ",   "and ",  "writes ", "block ", "interrupt " };

  for (size_t at = 0; at < size;)
    {
      const char *word = words[bench_random (&seed) % (sizeof words / sizeof *words)];
      size_t length = strlen (word);

      if (length > size - at)
        length = size - at;
      memcpy (text + at, word, length);
      at += length;
    }
}

/* Greedy matching over hash chains, then unpacking what came out. */
static uint64_t
compress (uint64_t amount)
{
  enum { SIZE = 65536, CHAIN = 16, NONE = 0xffffffff };
  static uint8_t text[SIZE + 8], packed[2 * SIZE], again[SIZE + 512];
  static uint32_t head[4096], previous[SIZE];
  uint64_t hash = 0;

  for (uint64_t round = 0; round < amount; round++)
    {
      size_t out = 0, at = 0;

      make_text (text, SIZE, round);
      memset (head, 0xff, sizeof head);
      while (at < SIZE)
        {
          size_t best = 0, where = 0;

          if (at + 4 <= SIZE)
            {
              uint32_t word, slot, candidate;

              memcpy (&word, text + at, 4);
              slot = (word * 2654435761u) >> 20;
              candidate = head[slot];
              for (int i = 0; i < CHAIN && candidate != NONE && at - candidate < 32768; i++)
                {
                  size_t length = 0;

                  while (length < 255 && at + length < SIZE && text[candidate + length] == text[at + length])
                    length++;
                  if (length > best)
                    {
                      best = length;
                      where = at - candidate;
                    }
                  candidate = previous[candidate];
                }
              previous[at] = head[slot];
              head[slot] = at;
            }
          if (best >= 4)
            {
              packed[out++] = best;
              packed[out++] = where;
              packed[out++] = where >> 8;
              at += best;
            }
          else
            {
              packed[out++] = 0;
              packed[out++] = text[at++];
            }
        }
      at = 0;
      for (size_t in = 0; in < out;)
        {
          size_t length = packed[in++];

          if (length == 0)
            {
              again[at++] = packed[in++];
              continue;
            }
          size_t distance = packed[in] | packed[in + 1] << 8;
          in += 2;
          for (size_t i = 0; i < length; i++, at++)
            again[at] = again[at - distance];
        }
      hash = bench_mix (hash, out + (memcmp (text, again, SIZE) == 0));
    }
  return hash;
}

static int
compare_words (const void *a, const void *b)
{
  uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

  return (x > y) - (x < y);
}

static uint64_t
sort (uint64_t amount)
{
  static uint32_t words[8192];
  const size_t count = sizeof words / sizeof *words;
  uint64_t hash = 0;

  for (uint64_t round = 0; round < amount; round++)
    {
      uint32_t seed = round;

      for (size_t i = 0; i < count; i++)
        words[i] = bench_random (&seed);
      qsort (words, count, sizeof *words, compare_words);
      hash = bench_mix (hash, words[count / 2]);
    }
  return hash;
}

/* Horspool's search, a byte at a time. */
static uint64_t
search (uint64_t amount)
{
  static uint8_t text[65536];
  static const char needle[] = "table writes memory interrupt";
  const size_t length = sizeof needle - 1;
  uint64_t found = 0;
  size_t skip[256];

  make_text (text, sizeof text, 5);
  for (int i = 0; i < 256; i++)
    skip[i] = length;
  for (size_t i = 0; i < length - 1; i++)
    skip[(uint8_t) needle[i]] = length - 1 - i;
  for (uint64_t round = 0; round < amount; round++)
    for (size_t at = 0; at + length <= sizeof text; at += skip[text[at + length - 1]])
      {
        size_t i = length;

        while (i > 0 && text[at + i - 1] == (uint8_t) needle[i - 1])
          i--;
        if (i == 0)
          found = bench_mix (found, at + round);
      }
  return found;
}

const BenchRow bench_integer[] = {
  { "alu", alu },       { "carry", carry },       { "divide", divide }, { "crc32", crc32 },
  { "sha256", sha256 }, { "compress", compress }, { "sort", sort },     { "search", search },
  { NULL, NULL },
};
