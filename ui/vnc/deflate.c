/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DEFLATE (RFC 1951). For each place two hashes lead to the last one that began with the same five bytes, or the same
 * three; what is found is taken at once. Each chunk becomes a block, of whichever kind is shortest. */
#include "ui/vnc/deflate.h"

#define WINDOW 32768 /* how far back matches may be */
#define CHUNK 32768
#define HASH_BITS 13
#define READ 8 /* bytes at a time */
#define LONG 5
#define SHORT 3
#define MATCH_MAX 258
#define DEAR 6        /* bytes: what is shorter may cost more than its literals */
#define INSERT_ALL 16 /* of longer matches not all places are remembered */
#define LITERALS 286  /* with lengths and the end */
#define DISTANCES 30
#define ORDERS 19 /* what code lengths are written with */
#define END 256
#define CODE_MAX 15 /* bits */
#define ORDER_MAX 7

typedef struct Code
{
  uint8_t bits[LITERALS];
  uint16_t codes[LITERALS]; /* as they are written, the first bit lowest */
} Code;

struct VncDeflate
{
  uint8_t data[WINDOW + CHUNK + READ];
  uint32_t have;  /* of what came before, at the beginning of DATA */
  uint32_t place; /* of DATA in the stream */
  uint32_t last_long[1 << HASH_BITS], last_short[1 << HASH_BITS];
  uint32_t tokens[CHUNK]; /* a byte; or length << 16 | distance */
  unsigned n_tokens;
  uint32_t n_literals[LITERALS], n_distances[DISTANCES];
  uint32_t farthest[DEAR]; /* for a match of that length */
  uint64_t bits;
  unsigned n_bits;
};

VncDeflate *
vnc_deflate_new (void)
{
  VncDeflate *d = g_new0 (VncDeflate, 1);

  for (unsigned i = SHORT; i < DEAR; i++)
    d->farthest[i] = 1u << (2 * i);
  return d;
}

void
vnc_deflate_free (VncDeflate *d)
{
  g_free (d);
}

/* --- what lengths and distances are called (3.2.5) -------------------------------------------------------------- */

static inline unsigned
top_bit (unsigned value)
{
  return 31 - (unsigned) __builtin_clz (value);
}

/* Of LENGTH - 3, and how many bits follow. */
static inline unsigned
length_symbol (unsigned length, unsigned *extra)
{
  *extra = 0;
  if (length < 8)
    return END + 1 + length;
  if (length == MATCH_MAX - SHORT)
    return LITERALS - 1;
  unsigned top = top_bit (length);
  *extra = top - 2;
  return END + 1 + 4 * (top - 1) + (length >> (top - 2) & 3);
}

/* Of DISTANCE - 1. */
static inline unsigned
distance_symbol (unsigned distance, unsigned *extra)
{
  *extra = 0;
  if (distance < 4)
    return distance;
  unsigned top = top_bit (distance);
  *extra = top - 1;
  return 2 * top + (distance >> (top - 1) & 1);
}

/* --- finding ------------------------------------------------------------------------------------------------------ */

static inline uint64_t
load (const uint8_t *at)
{
  uint64_t value;

  memcpy (&value, at, sizeof value);
  return GUINT64_FROM_LE (value);
}

static inline uint64_t
first (uint64_t bytes, unsigned n)
{
  return bytes & (UINT64_MAX >> (64 - 8 * n));
}

static inline uint64_t
hash (uint64_t bytes)
{
  return bytes * UINT64_C (0x9e3779b97f4a7c15);
}

/* What a table has for HASH: some of its other bits, so that most of what differs is known to without a look at it, and
 * the low bits of the place. */
static inline uint32_t
exchange (uint32_t *table, uint64_t hashed, uint32_t place)
{
  uint32_t *slot = &table[hashed >> (64 - HASH_BITS)], old = *slot;
  uint32_t check = hashed >> (48 - HASH_BITS) & 0xffff;

  *slot = check << 16 | (place & 0xffff);
  return old >> 16 == check ? (place - old) & 0xffff : 0;
}

static inline void
remember (VncDeflate *d, uint32_t i)
{
  uint64_t here = load (d->data + i);

  exchange (d->last_long, hash (first (here, LONG)), d->place + i);
  exchange (d->last_short, hash (first (here, SHORT)), d->place + i);
}

static inline unsigned
common (const uint8_t *a, const uint8_t *b, unsigned most)
{
  unsigned n = 0;

  for (; n + 8 <= most; n += 8)
    {
      uint64_t differ = load (a + n) ^ load (b + n);
      if (differ)
        return n + (unsigned) __builtin_ctzll (differ) / 8;
    }
  while (n < most && a[n] == b[n])
    n++;
  return n;
}

/* How long, with its distance; 0: nothing that is worth it. What the tables lead to may be anywhere: only bytes count.
 */
static inline unsigned
find (VncDeflate *d, uint32_t i, unsigned most, uint32_t *distance)
{
  const uint8_t *at = d->data + i;
  uint64_t here = load (at);
  uint32_t place = d->place + i, reach = MIN (i, WINDOW);
  uint32_t far = exchange (d->last_long, hash (first (here, LONG)), place);
  uint32_t near = exchange (d->last_short, hash (first (here, SHORT)), place);

  if (far - 1 < reach && !first (load (at - far) ^ here, LONG))
    {
      *distance = far;
      return common (at, at - far, most);
    }
  if (near - 1 >= reach || first (load (at - near) ^ here, SHORT))
    return 0;
  unsigned n = common (at, at - near, most);
  *distance = near;
  return n >= DEAR || near <= d->farthest[n] ? n : 0;
}

static inline void
add_literal (VncDeflate *d, uint8_t byte)
{
  d->tokens[d->n_tokens++] = byte;
  d->n_literals[byte]++;
}

static void
add_match (VncDeflate *d, unsigned length, uint32_t distance)
{
  unsigned extra;

  d->tokens[d->n_tokens++] = length << 16 | distance;
  d->n_literals[length_symbol (length - SHORT, &extra)]++;
  d->n_distances[distance_symbol (distance - 1, &extra)]++;
}

/* The bytes of DATA from I to END become tokens. */
static void
find_all (VncDeflate *d, uint32_t i, uint32_t end)
{
  while (i + READ <= end)
    {
      uint32_t distance;
      unsigned n = find (d, i, MIN (MATCH_MAX, end - i), &distance);

      if (!n)
        {
          add_literal (d, d->data[i++]);
          continue;
        }
      add_match (d, n, distance);
      uint32_t next = i + n;
      for (i = n <= INSERT_ALL ? i + 1 : next - 2; i < next; i++)
        if (i + READ <= end)
          remember (d, i);
    }
  for (; i < end; i++)
    add_literal (d, d->data[i]);
}

/* --- codes (3.2.2) ------------------------------------------------------------------------------------------------ */

static int
compare (const void *a, const void *b)
{
  uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

  return x < y ? -1 : x > y;
}

/* Symbols that occur, the rarest first; two at least, as some readers want it. */
static unsigned
sort_symbols (const uint32_t *counts, unsigned n, uint32_t *sorted)
{
  unsigned used = 0;

  for (unsigned i = 0; i < n; i++)
    if (counts[i])
      sorted[used++] = counts[i] << 9 | i;
  for (unsigned i = 0; used < 2 && i < n; i++)
    if (!counts[i])
      sorted[used++] = 1 << 9 | i;
  qsort (sorted, used, sizeof *sorted, compare);
  return used;
}

/* HOW_MANY of each length up to MOST there are to be in Huffman's tree. */
static void
make_lengths (const uint32_t *sorted, unsigned used, unsigned most, unsigned *how_many)
{
  uint32_t weights[2 * LITERALS];
  uint16_t parents[2 * LITERALS], depths[2 * LITERALS];
  unsigned leaf = 0, inner = used, room = 0;

  for (unsigned i = 0; i < used; i++)
    weights[i] = sorted[i] >> 9;
  for (unsigned i = used; i < 2 * used - 1; i++)
    { /* the two lightest that have no parent yet */
      weights[i] = 0;
      for (unsigned k = 0; k < 2; k++)
        {
          unsigned lightest = leaf < used && (inner == i || weights[leaf] <= weights[inner]) ? leaf++ : inner++;
          weights[i] += weights[lightest];
          parents[lightest] = (uint16_t) i;
        }
    }
  depths[2 * used - 2] = 0;
  for (unsigned i = 2 * used - 2; i-- > 0;)
    {
      depths[i] = depths[parents[i]] + 1;
      if (i < used)
        {
          how_many[MIN (depths[i], most)]++;
          room += 1u << (most - MIN (depths[i], most));
        }
    }
  for (; room > 1u << most; room--)
    { /* too many are as long as may be: one of them goes where a shorter one makes way */
      unsigned bits = most - 1;
      while (!how_many[bits])
        bits--;
      how_many[bits]--;
      how_many[bits + 1] += 2;
      how_many[most]--;
    }
}

static void
number_codes (Code *code, unsigned n, const unsigned *how_many)
{
  unsigned next[CODE_MAX + 1] = { 0 }, first = 0;

  for (unsigned bits = 1; bits <= CODE_MAX; bits++)
    {
      next[bits] = first;
      first = (first + how_many[bits]) << 1;
    }
  for (unsigned i = 0; i < n; i++)
    {
      unsigned value = code->bits[i] ? next[code->bits[i]]++ : 0, turned = 0;
      for (unsigned k = 0; k < code->bits[i]; k++)
        turned |= (value >> k & 1) << (code->bits[i] - 1 - k);
      code->codes[i] = (uint16_t) turned;
    }
}

static void
make_code (Code *code, const uint32_t *counts, unsigned n, unsigned most)
{
  uint32_t sorted[LITERALS];
  unsigned how_many[CODE_MAX + 1] = { 0 }, used = sort_symbols (counts, n, sorted), i = 0;

  make_lengths (sorted, used, most, how_many);
  memset (code->bits, 0, n);
  for (unsigned bits = most; bits; bits--)
    for (unsigned k = 0; k < how_many[bits]; k++)
      code->bits[sorted[i++] & 0x1ff] = (uint8_t) bits;
  number_codes (code, n, how_many);
}

/* 3.2.6 */
static void
make_fixed (Code *literals, Code *distances)
{
  unsigned how_many[CODE_MAX + 1] = { [7] = 24, [8] = 152, [9] = 112 };

  for (unsigned i = 0; i < LITERALS; i++)
    literals->bits[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  number_codes (literals, LITERALS, how_many);
  memset (how_many, 0, sizeof how_many);
  how_many[5] = DISTANCES;
  memset (distances->bits, 5, DISTANCES);
  number_codes (distances, DISTANCES, how_many);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static inline uint8_t *
put_bits (VncDeflate *d, unsigned value, unsigned n, uint8_t *out)
{
  d->bits |= (uint64_t) value << d->n_bits;
  d->n_bits += n;
  if (d->n_bits < 32)
    return out;
  vm_store_le32 (out, (uint32_t) d->bits);
  d->bits >>= 32;
  d->n_bits -= 32;
  return out + 4;
}

static uint8_t *
put_whole_bytes (VncDeflate *d, uint8_t *out)
{
  for (; d->n_bits; d->n_bits -= MIN (d->n_bits, 8), d->bits >>= 8)
    *out++ = (uint8_t) d->bits;
  d->bits = 0;
  return out;
}

/* Code lengths with their repetitions (3.2.7). */
typedef struct Order
{
  uint8_t symbols[LITERALS + DISTANCES], extras[LITERALS + DISTANCES];
  unsigned n, n_literals, n_distances, n_orders;
  Code code;
  size_t bits;
} Order;

static const uint8_t order_of_orders[ORDERS] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };

static unsigned
extra_of_order (unsigned symbol)
{
  return symbol == 16 ? 2 : symbol == 17 ? 3 : symbol == 18 ? 7 : 0;
}

static void
add_order (Order *o, uint8_t symbol, unsigned extra)
{
  o->symbols[o->n] = symbol;
  o->extras[o->n++] = (uint8_t) extra;
}

static void
add_run (Order *o, uint8_t bits, unsigned run)
{
  if (bits && run)
    {
      add_order (o, bits, 0);
      run--;
    }
  while (run >= 3)
    {
      unsigned n = MIN (run, bits ? 6 : run >= 11 ? 138 : 10);
      add_order (o, bits ? 16 : n >= 11 ? 18 : 17, bits || n < 11 ? n - 3 : n - 11);
      run -= n;
    }
  for (; run; run--)
    add_order (o, bits, 0);
}

static void
make_order (Order *o, const Code *literals, const Code *distances)
{
  uint8_t all[LITERALS + DISTANCES];
  uint32_t counts[ORDERS] = { 0 };

  for (o->n_literals = LITERALS; !literals->bits[o->n_literals - 1];)
    o->n_literals--;
  for (o->n_distances = DISTANCES; !distances->bits[o->n_distances - 1];)
    o->n_distances--;
  memcpy (all, literals->bits, o->n_literals);
  memcpy (all + o->n_literals, distances->bits, o->n_distances);
  unsigned n = o->n_literals + o->n_distances;
  o->n = 0;
  for (unsigned i = 0, end; i < n; i = end)
    {
      for (end = i + 1; end < n && all[end] == all[i];)
        end++;
      add_run (o, all[i], end - i);
    }
  for (unsigned i = 0; i < o->n; i++)
    counts[o->symbols[i]]++;
  make_code (&o->code, counts, ORDERS, ORDER_MAX);
  for (o->n_orders = ORDERS; !o->code.bits[order_of_orders[o->n_orders - 1]];)
    o->n_orders--;
  o->bits = 14 + 3 * o->n_orders;
  for (unsigned i = 0; i < o->n; i++)
    o->bits += o->code.bits[o->symbols[i]] + extra_of_order (o->symbols[i]);
}

static uint8_t *
put_order (VncDeflate *d, const Order *o, uint8_t *out)
{
  out = put_bits (d, o->n_literals - 257, 5, out);
  out = put_bits (d, o->n_distances - 1, 5, out);
  out = put_bits (d, o->n_orders - 4, 4, out);
  for (unsigned i = 0; i < o->n_orders; i++)
    out = put_bits (d, o->code.bits[order_of_orders[i]], 3, out);
  for (unsigned i = 0; i < o->n; i++)
    {
      unsigned symbol = o->symbols[i];
      out = put_bits (d, o->code.codes[symbol], o->code.bits[symbol], out);
      out = put_bits (d, o->extras[i], extra_of_order (symbol), out);
    }
  return out;
}

static uint8_t *
put_match (VncDeflate *d, uint32_t token, const Code *literals, const Code *distances, uint8_t *out)
{
  unsigned length = (token >> 16) - SHORT, distance = (token & 0xffff) - 1, more,
           symbol = length_symbol (length, &more);

  out = put_bits (d, literals->codes[symbol] | (length & ((1u << more) - 1)) << literals->bits[symbol],
                  literals->bits[symbol] + more, out);
  symbol = distance_symbol (distance, &more);
  return put_bits (d, distances->codes[symbol] | (distance & ((1u << more) - 1)) << distances->bits[symbol],
                   distances->bits[symbol] + more, out);
}

static uint8_t *
put_tokens (VncDeflate *d, const Code *literals, const Code *distances, uint8_t *out)
{
  for (unsigned i = 0; i < d->n_tokens; i++)
    {
      uint32_t token = d->tokens[i];
      if (token < END)
        out = put_bits (d, literals->codes[token], literals->bits[token], out);
      else
        out = put_match (d, token, literals, distances, out);
    }
  return put_bits (d, literals->codes[END], literals->bits[END], out);
}

static uint8_t *
put_stored (VncDeflate *d, const uint8_t *bytes, unsigned len, uint8_t *out)
{
  out = put_whole_bytes (d, put_bits (d, 0, 3, out));
  vm_store_le16 (out, (uint16_t) len);
  vm_store_le16 (out + 2, (uint16_t) ~len);
  if (len)
    memcpy (out + 4, bytes, len);
  return out + 4 + len;
}

/* --- blocks ------------------------------------------------------------------------------------------------------- */

static size_t
bits_with (const VncDeflate *d, const Code *literals, const Code *distances)
{
  size_t bits = 0;
  unsigned extra;

  for (unsigned i = 0; i < LITERALS; i++)
    bits += (size_t) d->n_literals[i] * literals->bits[i];
  for (unsigned i = 0; i < DISTANCES; i++)
    bits += (size_t) d->n_distances[i] * (distances->bits[i] + (i < 4 ? 0 : i / 2 - 1));
  for (unsigned i = 8; i < MATCH_MAX - SHORT; i += 1u << extra)
    {
      unsigned symbol = length_symbol (i, &extra);
      bits += (size_t) d->n_literals[symbol] * extra;
    }
  return bits;
}

/* What matches may cost in the next block is what literals did in this one. */
static void
weigh_matches (VncDeflate *d, const Code *literals)
{
  size_t bits = 0, n = 0;

  for (unsigned i = 0; i < END; i++)
    {
      bits += (size_t) d->n_literals[i] * literals->bits[i];
      n += d->n_literals[i];
    }
  for (unsigned i = SHORT; i < DEAR; i++)
    { /* a length takes about seven bits, a distance four and its own but one */
      size_t most = n ? i * bits / n : 0;
      d->farthest[i] = most <= 9 ? 0 : 1u << MIN (most - 9, 15);
    }
}

static uint8_t *
put_block (VncDeflate *d, const uint8_t *bytes, unsigned len, uint8_t *out)
{
  Code literals, distances, fixed[2];
  Order order;

  d->n_literals[END] = 1;
  make_code (&literals, d->n_literals, LITERALS, CODE_MAX);
  make_code (&distances, d->n_distances, DISTANCES, CODE_MAX);
  make_order (&order, &literals, &distances);
  make_fixed (&fixed[0], &fixed[1]);
  size_t own = order.bits + bits_with (d, &literals, &distances), usual = bits_with (d, &fixed[0], &fixed[1]);
  if (MIN (own, usual) >= 8 * (len + 5u))
    out = put_stored (d, bytes, len, out);
  else if (own < usual)
    out = put_tokens (d, &literals, &distances, put_order (d, &order, put_bits (d, 2 << 1, 3, out)));
  else
    out = put_tokens (d, &fixed[0], &fixed[1], put_bits (d, 1 << 1, 3, out));
  weigh_matches (d, &literals);
  return out;
}

static uint8_t *
put_chunk (VncDeflate *d, const uint8_t *bytes, unsigned len, uint8_t *out)
{
  d->n_tokens = 0;
  memset (d->n_literals, 0, sizeof d->n_literals);
  memset (d->n_distances, 0, sizeof d->n_distances);
  memcpy (d->data + d->have, bytes, len);
  d->have += len;
  find_all (d, d->have - len, d->have);
  if (d->have > WINDOW)
    {
      memmove (d->data, d->data + d->have - WINDOW, WINDOW);
      d->place += d->have - WINDOW;
      d->have = WINDOW;
    }
  return put_block (d, bytes, len, out);
}

void
vnc_deflate_put (VncDeflate *d, const uint8_t *bytes, size_t len, GByteArray *out)
{
  guint before = out->len;
  size_t room = len + (len / CHUNK + 2) * 16;

  g_byte_array_set_size (out, before + (guint) room);
  uint8_t *at = out->data + before;
  for (size_t done = 0; done < len; done += CHUNK)
    at = put_chunk (d, bytes + done, (unsigned) MIN (CHUNK, len - done), at);
  at = put_stored (d, NULL, 0, at);
  g_byte_array_set_size (out, (guint) (at - out->data));
}
