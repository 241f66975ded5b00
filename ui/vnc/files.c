/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures as JPEG and PNG files in memory, for Tight. */
#include "ui/vnc/encode.h"

#include <stdio.h>

#include <jpeglib.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>

/* --- JPEG ----------------------------------------------------------------------------------------------- */

typedef struct Failure
{
  struct jpeg_error_mgr manager;
  jmp_buf jump;
} Failure;

static void
jpeg_failed (j_common_ptr jpeg)
{
  longjmp (((Failure *) jpeg->err)->jump, 1);
}

static void
jpeg_silent (j_common_ptr jpeg)
{
}

static void
set_subsampling (struct jpeg_compress_struct *jpeg, int quality, int subsampling)
{
  if (!subsampling)
    subsampling = quality >= 79 ? 1 : quality >= 62 ? 2 : 4;
  jpeg->comp_info[0].h_samp_factor = subsampling > 1 ? 2 : 1;
  jpeg->comp_info[0].v_samp_factor = subsampling > 2 ? 2 : 1;
}

void
vnc_make_jpeg (const VncPicture *pic, int quality, int subsampling, GByteArray *out)
{
  struct jpeg_compress_struct jpeg;
  Failure failure;
  unsigned char *bytes = NULL;
  unsigned long len = 0;

  jpeg.err = jpeg_std_error (&failure.manager);
  failure.manager.error_exit = jpeg_failed;
  failure.manager.output_message = jpeg_silent;
  if (setjmp (failure.jump))
    { /* the library alone knows where its buffer is by now */
      jpeg_destroy_compress (&jpeg);
      return;
    }
  jpeg_create_compress (&jpeg);
  jpeg_mem_dest (&jpeg, &bytes, &len);
  jpeg.image_width = pic->width;
  jpeg.image_height = pic->height;
  jpeg.input_components = 4;
  jpeg.in_color_space = G_BYTE_ORDER == G_LITTLE_ENDIAN ? JCS_EXT_BGRX : JCS_EXT_XRGB;
  jpeg_set_defaults (&jpeg);
  jpeg_set_quality (&jpeg, quality, TRUE);
  jpeg.dct_method = quality > 90 ? JDCT_ISLOW : JDCT_FASTEST;
  set_subsampling (&jpeg, quality, subsampling);
  jpeg_start_compress (&jpeg, TRUE);
  while (jpeg.next_scanline < pic->height)
    {
      JSAMPROW row = (JSAMPROW) (pic->pixels + jpeg.next_scanline * pic->stride);
      jpeg_write_scanlines (&jpeg, &row, 1);
    }
  jpeg_finish_compress (&jpeg);
  jpeg_destroy_compress (&jpeg);
  g_byte_array_append (out, bytes, (guint) len);
  free (bytes);
}

/* --- PNG ------------------------------------------------------------------------------------------------ */

static void
png_take (png_structp png, png_bytep bytes, png_size_t len)
{
  g_byte_array_append (png_get_io_ptr (png), bytes, (guint) len);
}

static void
png_flushed (png_structp png)
{
}

static void
png_silent (png_structp png, png_const_charp text)
{
}

void
vnc_make_png (const VncPicture *pic, int level, GByteArray *out)
{
  png_structp png = png_create_write_struct (PNG_LIBPNG_VER_STRING, NULL, NULL, png_silent);
  png_infop info = png ? png_create_info_struct (png) : NULL;

  if (!info || setjmp (png_jmpbuf (png)))
    {
      png_destroy_write_struct (&png, &info);
      g_byte_array_set_size (out, 0);
      return;
    }
  png_set_write_fn (png, out, png_take, png_flushed);
  png_set_compression_level (png, level);
  png_set_filter (png, 0, PNG_FILTER_NONE);
  png_set_IHDR (png, info, pic->width, pic->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info (png, info);
  png_set_filler (png, 0, PNG_FILLER_AFTER);
  png_set_bgr (png);
  for (unsigned y = 0; y < pic->height; y++)
    png_write_row (png, (png_const_bytep) (pic->pixels + y * pic->stride));
  png_write_end (png, info);
  png_destroy_write_struct (&png, &info);
}
