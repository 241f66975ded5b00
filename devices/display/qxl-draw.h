/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QXL: what the files that draw share. */
#pragma once

#include "devices/display/qxl.h"

#define QXL_OPAQUE 0xff000000u
#define QXL_COLOR 0x00ffffffu

typedef struct QxlBrush
{
  bool is_pattern, none;
  uint32_t color;
  QxlImage pattern;
  int x, y; /* of the pattern's origin */
} QxlBrush;

/* How a composite's picture is looked at, where not pixel by pixel. */
typedef struct QxlSampler
{
  bool on;
  int32_t matrix[6]; /* 16.16: two rows */
  bool smooth;
  unsigned repeat;
} QxlSampler;

/* A command that is carried out. */
typedef struct QxlDraw
{
  Qxl *s;
  uint32_t id, format;
  uint8_t *rows;
  ptrdiff_t stride;
  int width, height;            /* of the surface */
  int left, top, right, bottom; /* where it goes, not clipped */
  const QXLRect *clips;
  size_t n_clips;
  bool has_source, has_mask;
  bool mask_alpha; /* the mask is not bits: "combine" looks at it */
  QxlImage source, mask;
  QxlSampler source_sampler, mask_sampler;
  int src_x, src_y, src_width, src_height;
  int mask_x, mask_y;
  bool mask_inverse;
  QxlBrush brush;
  /* of a line: DEST in and out, N pixels */
  void (*combine) (struct QxlDraw *d, int n);
  unsigned rop; /* of ROPD or ROP3 */
  uint32_t key; /* a transparent colour */
  unsigned alpha;
  bool dest_alpha, src_alpha;
  unsigned op;     /* of a composite */
  uint64_t pixels; /* done */
} QxlDraw;

/* qxl-draw.c */
void qxl_draw_area (QxlDraw *d); /* LEFT to BOTTOM, clipped */
bool qxl_take_brush (QxlDraw *d, const QXLBrush *brush);
void qxl_combine_brush (QxlDraw *d, int n); /* the brush by ROP */
void qxl_combine_glyph (QxlDraw *d, int n); /* as much of it as the mask says */

/* qxl-text.c */
void qxl_draw_text (QxlDraw *d, const QXLText *text);
void qxl_draw_stroke (QxlDraw *d, const QXLStroke *stroke);
