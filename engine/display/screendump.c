/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A console's picture as a file: PNG by libpng, PPM (P6) by hand. */
#include "engine/display/display.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>

/* RGB rows of the surface, so that the pixel lock is held for a copy only. */
static uint8_t *
screendump_copy_rgb (VmConsole *console, const VmSurface *surface)
{
  uint8_t *rgb = g_malloc ((size_t) surface->width * surface->height * 3);
  uint8_t *out = rgb;

  vm_console_lock (console);
  for (int y = 0; y < surface->height; y++)
    {
      const uint8_t *row = surface->data + (size_t) y * surface->stride;

      for (int x = 0; x < surface->width; x++)
        {
          *out++ = row[4 * x + 2];
          *out++ = row[4 * x + 1];
          *out++ = row[4 * x];
        }
    }
  vm_console_unlock (console);
  return rgb;
}

static bool
screendump_write_ppm (FILE *file, const uint8_t *rgb, int width, int height)
{
  size_t size = (size_t) width * height * 3;

  return fprintf (file, "P6\n%d %d\n255\n", width, height) > 0 && fwrite (rgb, 1, size, file) == size;
}

static bool
screendump_write_png (FILE *file, const uint8_t *rgb, int width, int height)
{
  png_structp png = png_create_write_struct (PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png ? png_create_info_struct (png) : NULL;

  if (!info || setjmp (png_jmpbuf (png)))
    {
      png_destroy_write_struct (&png, &info);
      return false;
    }
  png_init_io (png, file);
  png_set_IHDR (png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info (png, info);
  for (int y = 0; y < height; y++)
    png_write_row (png, rgb + (size_t) y * width * 3);
  png_write_end (png, info);
  png_destroy_write_struct (&png, &info);
  return true;
}

bool
vm_console_screendump (VmConsole *console, const char *path, const char *format, GError **error)
{
  vm_console_refresh_now (console);
  if (!vm_console_surface (console))
    return vm_fail (error, "no surface");

  VmSurface *surface = vm_surface_ref (vm_console_surface (console));
  g_autofree uint8_t *rgb = screendump_copy_rgb (console, surface);
  bool png = g_strcmp0 (format, "png") == 0;
  FILE *file = fopen (path, "wbe");
  bool ok = false;

  if (!file)
    vm_fail (error, "failed to open file '%s': %s", path, g_strerror (errno));
  else
    {
      ok = png ? screendump_write_png (file, rgb, surface->width, surface->height)
               : screendump_write_ppm (file, rgb, surface->width, surface->height);
      ok = fclose (file) == 0 && ok;
      if (!ok)
        {
          vm_fail (error, "could not write '%s': %s", path, g_strerror (errno));
          remove (path); /* a torn picture helps nobody */
        }
    }
  vm_surface_unref (surface);
  return ok;
}
