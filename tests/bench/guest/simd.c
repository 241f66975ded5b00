/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vectors: SSE, AVX2 with FMA, AES, carry-less products. */
#include "tests/bench/guest/bench.h"

#include <immintrin.h>

/* Mandelbrot's set, four points at a time. */
static uint64_t
sse_float (uint64_t amount)
{
  uint64_t hash = 0;

  for (uint64_t row = 0; row < amount; row++)
    for (int column = 0; column < 64; column += 4)
      {
        __m128 cr = _mm_add_ps (_mm_set1_ps (column * 0.04f - 2.0f), _mm_set_ps (0.12f, 0.08f, 0.04f, 0));
        __m128 ci = _mm_set1_ps ((row & 63) * 0.03f - 1.0f);
        __m128 r = cr, i = ci, count = _mm_setzero_ps ();

        for (int step = 0; step < 32; step++)
          {
            __m128 rr = _mm_mul_ps (r, r), ii = _mm_mul_ps (i, i);
            __m128 in = _mm_cmplt_ps (_mm_add_ps (rr, ii), _mm_set1_ps (4));

            if (_mm_movemask_ps (in) == 0)
              break;
            count = _mm_add_ps (count, _mm_and_ps (in, _mm_set1_ps (1)));
            i = _mm_add_ps (_mm_mul_ps (_mm_add_ps (r, r), i), ci);
            r = _mm_min_ps (_mm_add_ps (_mm_sub_ps (rr, ii), cr), _mm_set1_ps (1e10f));
            i = _mm_max_ps (_mm_min_ps (i, _mm_set1_ps (1e10f)), _mm_set1_ps (-1e10f));
          }
        hash = bench_mix (hash, (uint64_t) _mm_cvtsi128_si64 (_mm_cvtps_epi32 (count)));
      }
  return hash;
}

/* A filter over bytes: unpack, multiply and add, shift, pack with saturation. */
static uint64_t
sse_integer (uint64_t amount)
{
  static uint8_t image[8192 + 64], result[8192];
  const __m128i zero = _mm_setzero_si128 ();
  const __m128i weight = _mm_set_epi16 (3, 5, 3, 5, 3, 5, 3, 5);
  uint32_t seed = 2;

  for (size_t i = 0; i < sizeof image; i++)
    image[i] = bench_random (&seed);
  for (uint64_t round = 0; round < amount; round++)
    for (size_t i = 0; i < sizeof result; i += 16)
      {
        __m128i a = _mm_loadu_si128 ((const __m128i *) (const void *) (image + i));
        __m128i b = _mm_loadu_si128 ((const __m128i *) (const void *) (image + i + 1));
        __m128i low = _mm_madd_epi16 (_mm_unpacklo_epi8 (a, zero), weight);
        __m128i high = _mm_madd_epi16 (_mm_unpackhi_epi8 (b, zero), weight);
        __m128i packed = _mm_packs_epi32 (_mm_srai_epi32 (low, 3), _mm_srai_epi32 (high, 3));

        packed = _mm_packus_epi16 (packed, _mm_adds_epi16 (packed, _mm_slli_epi16 (packed, 1)));
        packed = _mm_xor_si128 (_mm_avg_epu8 (packed, a), _mm_cmpgt_epi8 (b, a));
        packed = _mm_shuffle_epi32 (_mm_subs_epu8 (packed, _mm_min_epu8 (a, b)), 0x1b);
        _mm_storeu_si128 ((__m128i *) (void *) (result + i), packed);
        image[i] ^= (uint8_t) _mm_movemask_epi8 (packed);
      }
  return bench_mix_bytes (0, result, sizeof result);
}

/* Bytes looked up and searched as parsers of text do. */
__attribute__ ((target ("sse4.2"))) static uint64_t
ssse3 (uint64_t amount)
{
  const __m128i table = _mm_set_epi8 (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3);
  __m128i sum = _mm_set1_epi8 (17);
  uint64_t hash = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      __m128i low = _mm_and_si128 (sum, _mm_set1_epi8 (15));
      __m128i high = _mm_and_si128 (_mm_srli_epi16 (sum, 4), _mm_set1_epi8 (15));

      sum = _mm_add_epi8 (_mm_shuffle_epi8 (table, low), _mm_shuffle_epi8 (table, high));
      sum = _mm_alignr_epi8 (sum, _mm_abs_epi8 (high), 5);
      sum = _mm_add_epi32 (sum, _mm_mullo_epi32 (sum, _mm_set1_epi32 (77)));
      sum = _mm_blendv_epi8 (sum, _mm_cvtepu8_epi16 (low), high);
      hash += (uint64_t) _mm_testz_si128 (sum, low) + (uint64_t) _mm_popcnt_u64 (hash ^ i);
      hash = _mm_crc32_u64 (hash, i);
    }
  return bench_mix (hash, (uint64_t) _mm_cvtsi128_si64 (sum));
}

/* Sums of absolute differences of blocks, and a butterfly: video coders. */
__attribute__ ((target ("avx2"))) static uint64_t
avx2_integer (uint64_t amount)
{
  static uint8_t image[16384] __attribute__ ((aligned (32)));
  uint32_t seed = 4;
  __m256i total = _mm256_setzero_si256 ();

  for (size_t i = 0; i < sizeof image; i++)
    image[i] = bench_random (&seed);
  for (uint64_t round = 0; round < amount; round++)
    for (size_t i = 0; i + 128 <= sizeof image; i += 32)
      {
        __m256i a = _mm256_load_si256 ((const __m256i *) (const void *) (image + i));
        __m256i b = _mm256_loadu_si256 ((const __m256i *) (const void *) (image + i + 37));
        __m256i wide = _mm256_cvtepu8_epi16 (_mm256_castsi256_si128 (b));
        __m256i sum, difference;

        total = _mm256_add_epi64 (total, _mm256_sad_epu8 (a, b));
        sum = _mm256_add_epi16 (wide, _mm256_srli_epi16 (a, 8));
        difference = _mm256_sub_epi16 (wide, _mm256_permute4x64_epi64 (a, 0x4e));
        sum = _mm256_maddubs_epi16 (_mm256_shuffle_epi8 (a, b), _mm256_abs_epi16 (_mm256_mulhi_epi16 (sum, difference)));
        total = _mm256_add_epi64 (total, _mm256_sad_epu8 (sum, _mm256_max_epi16 (difference, wide)));
      }
  return bench_mix ((uint64_t) _mm256_extract_epi64 (total, 0), (uint64_t) _mm256_extract_epi64 (total, 3));
}

/* Product of matrices, 4 x 8 doubles held in registers. */
__attribute__ ((target ("avx2,fma"))) static uint64_t
avx2_fma (uint64_t amount)
{
  enum { N = 64 };
  static double a[4][N], b[N][8];
  __m256d c[4][2];
  double result[4];
  uint32_t seed = 6;

  for (int i = 0; i < N; i++)
    for (int j = 0; j < 8; j++)
      {
        a[j & 3][i] = bench_random (&seed) * 1e-8;
        b[i][j] = bench_random (&seed) * 1e-8;
      }
  for (int i = 0; i < 4; i++)
    c[i][0] = c[i][1] = _mm256_setzero_pd ();
  for (uint64_t round = 0; round < amount; round++)
    for (int k = 0; k < N; k++)
      {
        __m256d left = _mm256_loadu_pd (&b[k][0]), right = _mm256_loadu_pd (&b[k][4]);

#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
          {
            __m256d factor = _mm256_broadcast_sd (&a[i][k]);

            c[i][0] = _mm256_fmadd_pd (factor, left, c[i][0]);
            c[i][1] = _mm256_fnmadd_pd (factor, right, c[i][1]);
          }
      }
  for (int i = 1; i < 4; i++)
    c[0][0] = _mm256_add_pd (c[0][0], _mm256_mul_pd (c[i][0], c[i][1]));
  _mm256_storeu_pd (result, c[0][0]);
  return bench_mix_bytes (0, result, sizeof result);
}

__attribute__ ((target ("avx2"))) static uint64_t
avx2_gather (uint64_t amount)
{
  static int table[4096];
  __m256i index = _mm256_set_epi32 (1, 22, 333, 4000, 55, 666, 77, 8), sum = _mm256_setzero_si256 ();
  const __m256i mask = _mm256_set1_epi32 (4095);
  uint32_t seed = 6;

  for (int i = 0; i < 4096; i++)
    table[i] = (int) bench_random (&seed);
  for (uint64_t i = 0; i < amount; i++)
    {
      __m256i found = _mm256_i32gather_epi32 (table, index, 4);

      sum = _mm256_add_epi32 (sum, _mm256_sllv_epi32 (found, _mm256_and_si256 (index, _mm256_set1_epi32 (7))));
      index = _mm256_and_si256 (_mm256_permutevar8x32_epi32 (_mm256_add_epi32 (found, index), found), mask);
    }
  return bench_mix ((uint64_t) _mm256_extract_epi64 (sum, 0), (uint64_t) _mm256_extract_epi64 (sum, 2));
}

__attribute__ ((target ("aes,sse4.1"))) static uint64_t
aes (uint64_t amount)
{
  __m128i key[11], counter = _mm_setzero_si128 (), sum = _mm_setzero_si128 ();

  key[0] = _mm_set_epi32 (1, 2, 3, 4);
  for (int i = 1; i < 11; i++)
    key[i] = _mm_xor_si128 (_mm_aeskeygenassist_si128 (key[i - 1], 0x1b), _mm_slli_si128 (key[i - 1], 4));
  for (uint64_t i = 0; i < amount; i++)
    {
      __m128i text = _mm_xor_si128 (counter, key[0]);

#pragma GCC unroll 9
      for (int round = 1; round < 10; round++)
        text = _mm_aesenc_si128 (text, key[round]);
      sum = _mm_xor_si128 (sum, _mm_aesenclast_si128 (text, key[10]));
      counter = _mm_add_epi64 (counter, _mm_set_epi64x (0, 1));
    }
  return bench_mix ((uint64_t) _mm_extract_epi64 (sum, 0), (uint64_t) _mm_extract_epi64 (sum, 1));
}

__attribute__ ((target ("pclmul,sse4.1"))) static uint64_t
clmul (uint64_t amount)
{
  __m128i x = _mm_set_epi64x (0x123456789abcdef, 77), h = _mm_set_epi64x (-5, 0x77777);

  for (uint64_t i = 0; i < amount; i++)
    {
      __m128i low = _mm_clmulepi64_si128 (x, h, 0x00), high = _mm_clmulepi64_si128 (x, h, 0x11);
      __m128i middle = _mm_xor_si128 (_mm_clmulepi64_si128 (x, h, 0x10), _mm_clmulepi64_si128 (x, h, 0x01));

      low = _mm_xor_si128 (low, _mm_slli_si128 (middle, 8));
      high = _mm_xor_si128 (high, _mm_srli_si128 (middle, 8));
      x = _mm_add_epi64 (_mm_xor_si128 (low, high), _mm_set1_epi64x ((long long) i));
    }
  return bench_mix ((uint64_t) _mm_extract_epi64 (x, 0), (uint64_t) _mm_extract_epi64 (x, 1));
}

const BenchRow bench_simd[] = {
  { "sse-float", sse_float },     { "sse-integer", sse_integer }, { "ssse3", ssse3 }, { "avx2-integer", avx2_integer },
  { "avx2-fma", avx2_fma },       { "avx2-gather", avx2_gather }, { "aes", aes },     { "clmul", clmul },
  { NULL, NULL },
};
