/* SPDX-License-Identifier: GPL-3.0-or-later */
/* "screen SCENE WIDTH HEIGHT RATE FRAMES": draws on the machine's VGA card, the same pixels each time. Says "@ready"
 * when the first picture is there, waits for a line, draws FRAMES more at RATE a second, says "@done FRAMES
 * MILLISECONDS".
 *
 * text: lines that scroll; film: moving pictures in a part of a desktop; drag: a window that is dragged over one;
 * whole: moving pictures everywhere. All is drawn in memory first, as window systems do, and only what changed copied.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define GLYPH_WIDTH 8
#define GLYPH_HEIGHT 16
#define GLYPHS 94
#define FILM_FRAMES 16

typedef struct Rect
{
  int x, y, width, height;
} Rect;

typedef struct Scene
{
  const char *name;
  void (*begin) (void);
  Rect (*draw) (int frame); /* returns what changed */
} Scene;

static int width, height;
static uint32_t *card, *shadow, *desktop, *window, *film;
static uint8_t font[GLYPHS][GLYPH_HEIGHT];
static uint8_t sine[256];
static Rect film_at, window_at;
static uint32_t seed = 2463534242u;

static uint32_t
number (void)
{
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

/* --- the card ---------------------------------------------------------------------------------------------- */

static void
fail (const char *what)
{
  perror (what);
  exit (1);
}

static void
set_mode (void)
{
  const int values[][2] = { { 4, 0 }, { 1, width }, { 2, height }, { 3, 32 }, { 4, 0x41 } };

  if (iopl (3))
    fail ("iopl");
  for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
    { /* the registers of Bochs' extension */
      outw ((unsigned short) values[i][0], 0x1ce);
      outw ((unsigned short) values[i][1], 0x1cf);
    }
}

/* The first memory of the first display controller. */
static void
map_card (void)
{
  DIR *folder = opendir ("/sys/bus/pci/devices");
  struct dirent *entry;

  while (folder && (entry = readdir (folder)))
    {
      char path[512], class[16] = "";
      int file;

      snprintf (path, sizeof path, "/sys/bus/pci/devices/%s/class", entry->d_name);
      file = open (path, O_RDONLY);
      if (file < 0)
        continue;
      if (read (file, class, sizeof class - 1) < 0 || strncmp (class, "0x03", 4) != 0)
        {
          close (file);
          continue;
        }
      close (file);
      snprintf (path, sizeof path, "/sys/bus/pci/devices/%s/enable", entry->d_name);
      file = open (path, O_WRONLY);
      if (file < 0 || write (file, "1", 1) != 1)
        fail (path);
      close (file);
      snprintf (path, sizeof path, "/sys/bus/pci/devices/%s/resource0_wc", entry->d_name);
      file = open (path, O_RDWR);
      if (file < 0)
        fail (path);
      card = mmap (NULL, (size_t) width * (size_t) height * 4, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      if (card == MAP_FAILED)
        fail ("mmap");
      close (file);
      closedir (folder);
      return;
    }
  fail ("no card");
}

static void
show (Rect r)
{
  for (int y = r.y; y < r.y + r.height; y++)
    memcpy (card + y * width + r.x, shadow + y * width + r.x, (size_t) r.width * 4);
}

/* --- pieces of pictures -------------------------------------------------------------------------------------- */

static uint32_t *
picture (int w, int h)
{
  uint32_t *p = malloc ((size_t) w * (size_t) h * 4);

  if (!p)
    fail ("malloc");
  return p;
}

/* Strokes, as letters have. */
static void
make_font (void)
{
  for (int g = 0; g < GLYPHS; g++)
    for (unsigned stroke = 0; stroke < 3 + number () % 2; stroke++)
      {
        int at = (int) (number () % 3), from = (int) (number () % 2);
        if (number () & 1)
          for (int y = 3 + 4 * from; y < 12; y++)
            font[g][y] |= (uint8_t) (0xc0 >> 2 * at);
        else
          font[g][3 + 4 * at] |= (uint8_t) (0xfc >> from * 3);
      }
}

static void
put_glyph (uint32_t *to, int stride, unsigned glyph, uint32_t ink, uint32_t paper)
{
  for (int y = 0; y < GLYPH_HEIGHT; y++)
    for (int x = 0; x < GLYPH_WIDTH; x++)
      to[y * stride + x] = font[glyph][y] & 0x80 >> x ? ink : paper;
}

/* Words, and now and then none. */
static void
put_line (uint32_t *to, int stride, int columns, uint32_t paper)
{
  static const uint32_t inks[] = { 0xc0c0c0, 0xc0c0c0, 0xc0c0c0, 0x55ff55, 0x5555ff, 0xffff55 };
  uint32_t ink = paper ? 0x202020 : inks[number () % 6];
  int end = (int) (number () % (unsigned) columns), left = 0;

  for (int i = 0; i < columns; i++)
    {
      bool blank = i >= end || !left;
      if (!left--)
        {
          left = 2 + (int) (number () % 8);
          if (!paper && number () % 8 == 0)
            ink = inks[number () % 6];
        }
      put_glyph (to + i * GLYPH_WIDTH, stride, blank ? 0 : number () % GLYPHS, blank ? paper : ink, paper);
    }
}

/* A wallpaper, and what lies on it. */
static void
make_desktop (void)
{
  desktop = picture (width, height);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++)
      {
        unsigned wave = sine[(x / 5 + sine[y / 4 & 255] / 3) & 255];
        desktop[y * width + x]
            = (uint32_t) (40 + wave / 8) << 16 | (uint32_t) (80 + y * 60 / height) << 8 | (140 + wave / 6);
      }
  for (int i = 0; i < 8 && 96 * (i + 1) < height; i++)
    {
      for (int y = 0; y < 48; y++)
        for (int x = 0; x < 48; x++)
          desktop[(20 + 88 * i + y) * width + 30 + x]
              = (uint32_t) (i * 0x1f3d5b + (x / 12 ^ y / 12) * 0x101010) & 0xffffff;
      put_line (desktop + (72 + 88 * i) * width + 20, width, 9, 0xe0e0e0);
    }
}

static void
make_window (void)
{
  window_at = (Rect){ 100, 60, width / 2, height / 2 };
  window = picture (window_at.width, window_at.height);
  for (int y = 0; y < window_at.height; y++)
    for (int x = 0; x < window_at.width; x++)
      {
        bool edge = !x || !y || x == window_at.width - 1 || y == window_at.height - 1;
        window[y * window_at.width + x] = edge     ? 0x404040
                                          : y < 24 ? (uint32_t) (0x305080 + x * 64 / window_at.width)
                                                   : 0xffffff;
      }
  for (int y = 32; y + 2 * GLYPH_HEIGHT < window_at.height; y += GLYPH_HEIGHT)
    put_line (window + y * window_at.width + 12, window_at.width, (window_at.width - 24) / GLYPH_WIDTH, 0xffffff);
}

/* Soft shapes that move, a hard one, and the noise of a camera. */
static void
make_film (Rect at)
{
  size_t size = (size_t) at.width * (size_t) at.height;

  film_at = at;
  film = malloc (FILM_FRAMES * size * 4);
  if (!film)
    fail ("malloc");
  for (int t = 0; t < FILM_FRAMES; t++)
    for (int y = 0; y < at.height; y++)
      for (int x = 0; x < at.width; x++)
        {
          unsigned noise = number ();
          unsigned a = sine[(x / 2 + t * 16) & 255], b = sine[(y - t * 16 + sine[(x / 3 + t * 16) & 255] / 4) & 255];
          int dx = x - at.width * (t + 2) / (FILM_FRAMES + 4), dy = y - at.height / 2;
          bool ball = dx * dx + dy * dy < at.height * at.height / 36;
          unsigned red = ball ? 200 : 20 + a * 3 / 4, green = 20 + (a + b) * 3 / 8, blue = ball ? 40 : 20 + b * 3 / 4;
          film[(size_t) t * size + (size_t) y * (size_t) at.width + (size_t) x]
              = (red + (noise & 3)) << 16 | (green + (noise >> 8 & 3)) << 8 | (blue + (noise >> 16 & 3));
        }
}

/* --- scenes --------------------------------------------------------------------------------------------------- */

static void
begin_text (void)
{
  memset (shadow, 0, (size_t) width * (size_t) height * 4);
  for (int y = 0; y + GLYPH_HEIGHT <= height; y += GLYPH_HEIGHT)
    put_line (shadow + y * width, width, width / GLYPH_WIDTH, 0);
}

static Rect
draw_text (int frame)
{
  int lines = height / GLYPH_HEIGHT;

  memmove (shadow, shadow + GLYPH_HEIGHT * width, (size_t) (lines - 1) * GLYPH_HEIGHT * (size_t) width * 4);
  put_line (shadow + (lines - 1) * GLYPH_HEIGHT * width, width, width / GLYPH_WIDTH, 0);
  return (Rect){ 0, 0, width, height };
}

static void
begin_film (void)
{
  make_desktop ();
  memcpy (shadow, desktop, (size_t) width * (size_t) height * 4);
  make_film ((Rect){ width / 6 + 5, height / 6 + 3, width * 5 / 8, height * 15 / 32 });
}

static Rect
draw_film (int frame)
{
  const uint32_t *from = film + (size_t) (frame % FILM_FRAMES) * (size_t) film_at.width * (size_t) film_at.height;

  for (int y = 0; y < film_at.height; y++, from += film_at.width)
    memcpy (shadow + (film_at.y + y) * width + film_at.x, from, (size_t) film_at.width * 4);
  return film_at;
}

static void
begin_whole (void)
{
  make_film ((Rect){ 0, 0, width, height });
  memcpy (shadow, film, (size_t) width * (size_t) height * 4);
}

static Rect
draw_whole (int frame)
{
  return draw_film (frame);
}

static void
put_window (void)
{
  for (int y = 0; y < window_at.height; y++)
    memcpy (shadow + (window_at.y + y) * width + window_at.x, window + y * window_at.width,
            (size_t) window_at.width * 4);
}

static void
begin_drag (void)
{
  make_desktop ();
  make_window ();
  memcpy (shadow, desktop, (size_t) width * (size_t) height * 4);
  put_window ();
}

/* From 0 to MOST and back. */
static int
swing (int way, int most)
{
  way %= 2 * most;
  return way < most ? way : 2 * most - way;
}

static Rect
draw_drag (int frame)
{
  Rect old = window_at, r;

  for (int y = old.y; y < old.y + old.height; y++)
    memcpy (shadow + y * width + old.x, desktop + y * width + old.x, (size_t) old.width * 4);
  window_at.x = swing (100 + 9 * frame, width - window_at.width);
  window_at.y = swing (60 + 5 * frame, height - window_at.height);
  put_window ();
  r.x = old.x < window_at.x ? old.x : window_at.x;
  r.y = old.y < window_at.y ? old.y : window_at.y;
  r.width = old.width + abs (old.x - window_at.x);
  r.height = old.height + abs (old.y - window_at.y);
  return r;
}

static const Scene scenes[] = {
  { "text", begin_text, draw_text },
  { "film", begin_film, draw_film },
  { "whole", begin_whole, draw_whole },
  { "drag", begin_drag, draw_drag },
};

/* --- running --------------------------------------------------------------------------------------------------- */

static int64_t
now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C (1000000000) + now.tv_nsec;
}

static void
sleep_until (int64_t ns)
{
  struct timespec then = { ns / 1000000000, ns % 1000000000 };

  clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL);
}

static void
run (const Scene *scene, int rate, int frames)
{
  int64_t begin = now_ns (), next = begin, step = 1000000000 / rate;

  for (int i = 1; i <= frames; i++)
    {
      show (scene->draw (i));
      next += step;
      if (next > now_ns ())
        sleep_until (next);
      else
        next = now_ns (); /* what is late is not made up for */
    }
  printf ("@done %d %lld\n", frames, (long long) ((now_ns () - begin) / 1000000));
}

int
main (int argc, char **argv)
{
  const Scene *scene = NULL;

  for (unsigned i = 0; argc == 6 && i < sizeof scenes / sizeof *scenes; i++)
    if (!strcmp (scenes[i].name, argv[1]))
      scene = &scenes[i];
  if (!scene)
    return 1;
  setvbuf (stdout, NULL, _IONBF, 0);
  width = atoi (argv[2]);
  height = atoi (argv[3]);
  for (int i = 0; i < 256; i++)
    { /* two parabolas */
      int x = i % 128;
      sine[i] = (uint8_t) (127 + (i < 128 ? x * (128 - x) / 33 : -(x * (128 - x) / 33)));
    }
  make_font ();
  map_card ();
  set_mode ();
  shadow = picture (width, height);
  scene->begin ();
  show ((Rect){ 0, 0, width, height });
  printf ("@ready\n");
  if (getchar () == EOF)
    return 1;
  run (scene, atoi (argv[4]), atoi (argv[5]));
  return 0;
}
