/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What becomes of pixels: Hextile and streams read back, turns of those who compress. */
#include "ui/vnc/encode.h"
#include "ui/vnc/jobs.h"

#include <time.h>

#define WIDTH 40
#define HEIGHT 37

/* --- Hextile (RFC 6143, 7.7.4) ----------------------------------------------------------------------------------- */

typedef struct Reader
{
  const uint8_t *at, *end;
  const VncFormat *format;
} Reader;

static unsigned
read_byte (Reader *r)
{
  g_assert_true (r->at < r->end);
  return *r->at++;
}

static uint32_t
read_pixel (Reader *r)
{
  uint32_t pixel = 0;

  for (unsigned i = 0; i < r->format->bytes; i++)
    pixel |= read_byte (r) << 8 * i;
  return pixel;
}

static void
fill (uint32_t *to, unsigned x, unsigned y, unsigned width, unsigned height, uint32_t colour)
{
  for (unsigned row = y; row < y + height; row++)
    for (unsigned column = x; column < x + width; column++)
      to[row * WIDTH + column] = colour;
}

static void
read_tile (Reader *r, uint32_t *to, unsigned width, unsigned height, uint32_t *background, uint32_t *foreground)
{
  unsigned mask = read_byte (r);

  if (mask & 1)
    {
      for (unsigned i = 0; i < width * height; i++)
        to[i / width * WIDTH + i % width] = read_pixel (r);
      return;
    }
  if (mask & 2)
    *background = read_pixel (r);
  if (mask & 4)
    *foreground = read_pixel (r);
  fill (to, 0, 0, width, height, *background);
  for (unsigned n = mask & 8 ? read_byte (r) : 0; n; n--)
    {
      uint32_t colour = mask & 16 ? read_pixel (r) : *foreground;
      unsigned place = read_byte (r), size = read_byte (r);
      unsigned x = place >> 4, y = place & 15, w = (size >> 4) + 1, h = (size & 15) + 1;
      g_assert_cmpuint (x + w, <=, width);
      g_assert_cmpuint (y + h, <=, height);
      fill (to, x, y, w, h, colour);
    }
}

static void
check_hextile (const VncFormat *format, const VncPicture *pic)
{
  VncEncoder e;
  g_autoptr (GByteArray) out = g_byte_array_new ();
  uint32_t got[WIDTH * HEIGHT], background = 0xdeadbeef, foreground = 0xdeadbeef;

  vnc_encoder_init (&e);
  e.encoding = VNC_HEXTILE;
  e.format = *format;
  g_assert_cmpuint (vnc_encode (&e, pic, false, out), ==, 1);
  unsigned tiles = ((pic->width + 15) / 16) * ((pic->height + 15) / 16);
  g_assert_cmpuint (out->len, <=, 12 + tiles + pic->width * pic->height * format->bytes);
  Reader r = { out->data + 12, out->data + out->len, format };
  for (unsigned y = 0; y < pic->height; y += 16)
    for (unsigned x = 0; x < pic->width; x += 16)
      read_tile (&r, got + y * WIDTH + x, MIN (16, pic->width - x), MIN (16, pic->height - y), &background,
                 &foreground);
  g_assert_true (r.at == r.end);
  for (unsigned y = 0; y < pic->height; y++)
    for (unsigned x = 0; x < pic->width; x++)
      {
        uint8_t bytes[4];
        vnc_format_put (format, pic->pixels + y * pic->stride + x, 1, bytes);
        Reader one = { bytes, bytes + format->bytes, format };
        g_assert_cmphex (got[y * WIDTH + x], ==, read_pixel (&one));
      }
  vnc_encoder_clear (&e);
}

/* Rectangles, dots, noise, of few and many colours. */
static void
draw (GRand *rand, uint32_t *pixels)
{
  unsigned colours = (unsigned) g_rand_int_range (rand, 1, 9), kind = (unsigned) g_rand_int_range (rand, 0, 3);
  uint32_t palette[9];

  for (unsigned i = 0; i < 9; i++)
    palette[i] = g_rand_int (rand) & 0xffffff;
  for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
    pixels[i] = kind == 2   ? g_rand_int (rand) & 0xffffff
                : kind == 1 ? palette[(unsigned) g_rand_int_range (rand, 0, (int) colours)]
                            : palette[0];
  for (unsigned i = 0; i < 12 * (kind != 2); i++)
    {
      unsigned x = (unsigned) g_rand_int_range (rand, 0, WIDTH), y = (unsigned) g_rand_int_range (rand, 0, HEIGHT);
      unsigned width = 1 + g_rand_int (rand) % 20, height = 1 + g_rand_int (rand) % 20;
      fill (pixels, x, y, MIN (WIDTH - x, width), MIN (HEIGHT - y, height),
            palette[(unsigned) g_rand_int_range (rand, 0, (int) colours)]);
    }
}

static void
test_hextile (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  VncFormat formats[2];
  uint8_t wire[VNC_FORMAT_SIZE] = { 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0 };

  vnc_format_init (&formats[0]);
  g_assert_true (vnc_format_read (&formats[1], wire));
  for (unsigned i = 0; i < 2000; i++)
    {
      uint32_t pixels[WIDTH * HEIGHT];
      VncPicture pic = { 3, 5, 1 + g_rand_int (rand) % WIDTH, 1 + g_rand_int (rand) % HEIGHT, pixels, WIDTH };
      draw (rand, pixels);
      check_hextile (&formats[i & 1], &pic);
    }
}

/* --- streams ------------------------------------------------------------------------------------------------------ */

static void
check_stream (VncEncoder *e, z_stream *z, int level, const uint8_t *bytes, size_t len)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  g_autofree uint8_t *back = g_malloc (len);

  vnc_deflate (e, VNC_STREAM_ZLIB, level, bytes, len, out);
  g_assert_cmpuint (out->len, <=, len + len / 1000 + 64);
  z->next_in = out->data;
  z->avail_in = out->len;
  z->next_out = back;
  z->avail_out = (uInt) len;
  g_assert_cmpint (inflate (z, Z_SYNC_FLUSH), ==, Z_OK);
  g_assert_cmpuint (z->avail_out, ==, 0);
  g_assert_cmpuint (z->avail_in, ==, 0);
  g_assert_cmpmem (back, len, bytes, len);
}

/* Noise of few and many bits, short and long repetitions, near and far. */
static void
fill_bytes (GRand *rand, uint8_t *bytes, size_t len)
{
  unsigned kind = g_rand_int (rand) % 6, period = 1 + g_rand_int (rand) % (kind == 4 ? 40000 : 40);

  for (size_t i = 0; i < len; i++)
    switch (kind)
      {
      case 0:
        bytes[i] = (uint8_t) g_rand_int (rand);
        break;
      case 1:
        bytes[i] = g_rand_int (rand) & 0x3f;
        break;
      case 2:
        bytes[i] = g_rand_int (rand) % 50 ? 0 : (uint8_t) g_rand_int (rand);
        break;
      case 3: /* frequencies like Fibonacci's numbers: codes that are too long */
        bytes[i] = (uint8_t) __builtin_ctz (g_rand_int (rand) | 1u << 30);
        break;
      default:
        bytes[i] = i < period ? (uint8_t) g_rand_int (rand) : bytes[i - period] ^ (g_rand_int (rand) % 300 == 0);
      }
}

static void
test_streams (void)
{
  static const int levels[] = { 2, 2, 5, 2, 9, 9, 0, 1, 5, 6 };
  g_autoptr (GRand) rand = g_rand_new_with_seed (2);
  VncEncoder e;
  z_stream z = { 0 };

  vnc_encoder_init (&e);
  g_assert_cmpint (inflateInit (&z), ==, Z_OK);
  for (unsigned i = 0; i < 400; i++)
    {
      size_t len = 1 + g_rand_int (rand) % (i % 2 ? 300 : 200000);
      g_autofree uint8_t *bytes = g_malloc (len);
      fill_bytes (rand, bytes, len);
      check_stream (&e, &z, levels[i / 3 % G_N_ELEMENTS (levels)], bytes, len);
    }
  inflateEnd (&z);
  vnc_encoder_clear (&e);
}

/* --- photographs -------------------------------------------------------------------------------------------------- */

/* Soft shapes with a camera's noise. */
static void
draw_photo (GRand *rand, uint32_t *pixels, unsigned width, unsigned height)
{
  for (unsigned y = 0; y < height; y++)
    for (unsigned x = 0; x < width; x++)
      {
        uint32_t noise = g_rand_int (rand) & 0x030303;
        uint32_t red = 20 + (x * (width - x) >> 9), green = 20 + (y * (height - y) >> 9), blue = 40 + (x + y) % 200 / 2;
        pixels[y * width + x] = (red << 16 | green << 8 | blue) + noise;
      }
}

/* No more bytes than zlib makes of the rows, which takes several times as long. */
static void
test_photo (void)
{
  static const int encodings[] = { VNC_ZLIB, VNC_TIGHT, VNC_ZRLE };
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  unsigned width = 500, height = 190, n = width * height;
  g_autofree uint32_t *pixels = g_new (uint32_t, n);
  g_autofree uint8_t *packed = g_malloc (n * 4 + n);
  VncPicture pic = { 7, 9, width, height, pixels, width };

  draw_photo (rand, pixels, width, height);
  for (unsigned i = 0; i < G_N_ELEMENTS (encodings); i++)
    {
      g_autoptr (GByteArray) out = g_byte_array_new (), plain = g_byte_array_new ();
      VncEncoder e;
      uLongf len = n * 5;

      vnc_encoder_init (&e);
      e.encoding = encodings[i];
      size_t bytes = i ? n * 3 : n * 4;
      uint8_t *rows = vnc_grow (plain, bytes);
      if (i)
        vnc_format_put_tight (&e.format, pixels, n, rows);
      else
        vnc_format_put (&e.format, pixels, n, rows);
      g_assert_cmpint (compress2 (packed, &len, rows, bytes, 5), ==, Z_OK);
      vnc_encode (&e, &pic, false, out);
      g_test_message ("encoding %d: %u bytes, by zlib %lu", encodings[i], out->len, len);
      g_assert_cmpuint (out->len, <, len);
      vnc_encoder_clear (&e);
    }
}

/* --- JPEG files that several want ----------------------------------------------------------------------------------
 */

#define JPEGS 40

typedef struct Album
{
  VncJpegs *jpegs;
  uint32_t pixels[65536];
} Album;

static GByteArray *
want_jpeg (const Album *a, unsigned i, int quality)
{
  VncPicture pic = { 0, 0, 250, 128, a->pixels + i, 256 };

  return vnc_jpegs_get (a->jpegs, &pic, quality, 0);
}

static gpointer
want_jpegs (gpointer album)
{
  GByteArray **got = g_new (GByteArray *, JPEGS);

  for (unsigned i = 0; i < JPEGS; i++)
    got[i] = want_jpeg (album, i, 50);
  return got;
}

/* That it is, or is not, FIRST; and right. */
static void
check_jpeg (const Album *a, const GByteArray *first, unsigned i, int quality, bool same)
{
  Album alone = { .jpegs = NULL };
  g_autoptr (GByteArray) file = want_jpeg (a, i, quality);

  memcpy (alone.pixels, a->pixels, sizeof a->pixels);
  g_autoptr (GByteArray) fresh = want_jpeg (&alone, i, quality);
  g_assert_cmpmem (file->data, file->len, fresh->data, fresh->len);
  g_assert_true ((file == first) == same);
}

/* Threads that want the same at the same time get the same. */
static void
test_jpegs (void)
{
  Album a = { .jpegs = vnc_jpegs_new () };
  GThread *threads[4];
  GByteArray **got[4];
  VncPicture wide = { 0, 0, 65535, 1, a.pixels, 65535 }; /* more than JPEG can have */

  for (unsigned i = 0; i < G_N_ELEMENTS (a.pixels); i++)
    a.pixels[i] = i * 0x010305u;
  for (unsigned t = 0; t < G_N_ELEMENTS (threads); t++)
    threads[t] = g_thread_new (NULL, want_jpegs, &a);
  for (unsigned t = 0; t < G_N_ELEMENTS (threads); t++)
    got[t] = g_thread_join (threads[t]);
  for (unsigned i = 0; i < JPEGS; i++)
    for (unsigned t = 1; t < G_N_ELEMENTS (threads); t++)
      g_assert_true (got[t][i] == got[0][i]);
  check_jpeg (&a, got[0][3], 3, 50, true);
  check_jpeg (&a, got[0][3], 4, 50, false);
  check_jpeg (&a, got[0][3], 3, 51, false);
  for (unsigned i = 0; i < 2; i++)
    {
      g_autoptr (GByteArray) none = vnc_jpegs_get (a.jpegs, &wide, 50, 0);
      g_assert_cmpuint (none->len, ==, 0);
    }
  for (int quality = 1; quality < 65; quality++) /* so many are kept, and one was made after it */
    {
      check_jpeg (&a, got[0][JPEGS - 1], JPEGS - 1, 50, quality < 64);
      g_byte_array_unref (want_jpeg (&a, JPEGS, quality));
    }
  g_autoptr (GByteArray) last = want_jpeg (&a, 0, 50);
  check_jpeg (&a, last, 0, 50, true);
  a.pixels[127 * 256 + 249] ^= 1; /* its last pixel */
  check_jpeg (&a, last, 0, 50, false);
  a.pixels[127 * 256 + 249] ^= 1;
  check_jpeg (&a, last, 0, 50, true);
  vnc_jpegs_clear (a.jpegs);
  check_jpeg (&a, last, 0, 50, false);
  for (unsigned t = 0; t < G_N_ELEMENTS (threads); t++)
    {
      for (unsigned i = 0; i < JPEGS; i++)
        g_byte_array_unref (got[t][i]);
      g_free (got[t]);
    }
  vnc_jpegs_free (a.jpegs);
}

/* --- turns -------------------------------------------------------------------------------------------------------- */

typedef struct Viewer
{
  VncJob job;
  VncJobs *jobs;
  VmLoop *loop;
  int64_t cost; /* us a turn */
  unsigned turns_each, enough, turns, updates;
  bool *over;
  unsigned *left;
} Viewer;

static int64_t
processor_us (void)
{
  struct timespec now;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static bool
turn (void *opaque)
{
  Viewer *v = opaque;
  int64_t end = processor_us () + v->cost;

  while (processor_us () < end)
    ;
  return ++v->turns % v->turns_each == 0;
}

static void
done (void *opaque)
{
  Viewer *v = opaque;

  if (++v->updates == v->enough)
    *v->over = true;
  if (!*v->over)
    vnc_jobs_push (v->jobs, &v->job);
  else if (--*v->left == 0)
    vm_loop_quit (v->loop);
}

/* Whoever costs ten times as much gets a tenth of the turns, not a turn for each of the others'. */
static void
test_turns (void)
{
  VmLoop *loop = vm_loop_new ("turns", NULL);
  VncJobs *jobs = vnc_jobs_new (loop, 1, false);
  bool over = false;
  unsigned left = 3;
  Viewer viewers[3] = { { .cost = 5000, .turns_each = 1, .enough = 10 },
                        { .cost = 500, .turns_each = 1 },
                        { .cost = 500, .turns_each = 10 } };

  g_assert_true (vnc_jobs_are_idle (jobs));
  for (unsigned i = 0; i < 3; i++)
    {
      Viewer *v = &viewers[i];
      v->job = (VncJob){ .turn = turn, .done = done, .opaque = v };
      v->jobs = jobs;
      v->loop = loop;
      v->over = &over;
      v->left = &left;
      vnc_jobs_push (jobs, &v->job);
    }
  vm_loop_run (loop);
  g_test_message ("%u, %u and %u turns", viewers[0].turns, viewers[1].turns, viewers[2].turns);
  g_assert_cmpuint (viewers[1].turns, >=, viewers[0].turns * 4);
  g_assert_cmpuint (viewers[2].turns, >=, viewers[0].turns * 4);
  g_assert_cmpuint (viewers[2].updates, ==, viewers[2].turns / 10);
  for (unsigned i = 0; i < 3; i++)
    g_assert_cmpuint (viewers[i].updates, >, 0);
  g_assert_true (vnc_jobs_are_idle (jobs));
  vnc_jobs_free (jobs);
  vm_loop_free (loop);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/vnc/hextile", test_hextile);
  g_test_add_func ("/vnc/streams", test_streams);
  g_test_add_func ("/vnc/photo", test_photo);
  g_test_add_func ("/vnc/jpegs", test_jpegs);
  g_test_add_func ("/vnc/turns", test_turns);
  return g_test_run ();
}
