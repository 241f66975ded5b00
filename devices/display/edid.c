/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EDID blocks after VESA E-EDID release A2 (1.4) and CTA-861. */
#include "devices/display/edid.h"

enum { BLOCK = 128, DESCRIPTORS = 54, DESCRIPTOR = 18, N_DESCRIPTORS = 4, DTD_DATA_MAX_CLOCK = 65535 };

typedef struct StandardMode {
  uint16_t width, height;
  uint8_t  byte, bit;   /* established timings I-II; byte 0: none */
  uint8_t  cta;         /* video identification code of CTA-861; 0: none */
  uint8_t  hz;
} StandardMode;

/* What monitors of such a size usually offer. */
static const StandardMode standard_modes[] = {
  { 640, 480, 35, 5, 1, 60 },     { 800, 600, 35, 0, 0, 60 },     { 1024, 768, 36, 3, 0, 60 },
  { 5120, 2160, 0, 0, 125, 50 },  { 4096, 2160, 0, 0, 101, 50 },  { 3840, 2160, 0, 0, 96, 50 },
  { 2560, 1440, 0, 0, 0, 60 },    { 2048, 1152, 0, 0, 0, 60 },    { 1920, 1200, 0, 0, 0, 60 },
  { 1920, 1080, 0, 0, 31, 50 },   { 1680, 1050, 0, 0, 0, 60 },    { 1600, 1200, 0, 0, 0, 60 },
  { 1600, 900, 0, 0, 0, 60 },     { 1440, 900, 0, 0, 0, 60 },     { 1280, 1024, 0, 0, 0, 60 },
  { 1280, 960, 0, 0, 0, 60 },     { 1280, 720, 0, 0, 19, 50 },
};

static bool
edid_fits (const VmEdidInfo *info, unsigned width, unsigned height)
{
  return (!info->max_width || width <= info->max_width) && (!info->max_height || height <= info->max_height);
}

static void
edid_checksum (uint8_t *block)
{
  uint8_t sum = 0;

  for (unsigned i = 0; i < BLOCK - 1; i++)
    sum += block[i];
  block[BLOCK - 1] = -sum;
}

/* Two bytes of the standard timing list; false when the form cannot express the mode. */
static bool
edid_standard_timing (uint8_t *out, unsigned width, unsigned height, unsigned hz)
{
  unsigned aspect;

  if (width < 256 || width / 8 - 31 > 255 || width % 8)
    return false;
  if (width * 10 == height * 16)
    aspect = 0;
  else if (width * 3 == height * 4)
    aspect = 1;
  else if (width * 4 == height * 5)
    aspect = 2;
  else if (width * 9 == height * 16)
    aspect = 3;
  else
    return false;
  out[0] = width / 8 - 31;
  out[1] = aspect << 6 | (hz - 60);
  return true;
}

static void
edid_detailed_timing (uint8_t *d, unsigned width, unsigned height, unsigned refresh_mhz, unsigned mm_x, unsigned mm_y)
{
  /* Blanking of about a third and a thirtieth, as computed timings have it. */
  unsigned h_front = width * 25 / 100, h_sync = width * 3 / 100, h_blank = width * 35 / 100;
  unsigned v_front = height * 5 / 1000, v_sync = height * 5 / 1000, v_blank = height * 35 / 1000;
  uint64_t clock = (uint64_t) refresh_mhz * (width + h_blank) * (height + v_blank) / 10000000; /* 10 kHz */

  v_front = CLAMP (v_front, 1, 63);
  v_sync = CLAMP (v_sync, 1, 63);
  vm_store_le16 (d, MIN (clock, DTD_DATA_MAX_CLOCK));
  d[2] = width;
  d[3] = h_blank;
  d[4] = (width >> 8 & 15) << 4 | (h_blank >> 8 & 15);
  d[5] = height;
  d[6] = v_blank;
  d[7] = (height >> 8 & 15) << 4 | (v_blank >> 8 & 15);
  d[8] = h_front;
  d[9] = h_sync;
  d[10] = (v_front & 15) << 4 | (v_sync & 15);
  d[11] = (h_front >> 8 & 3) << 6 | (h_sync >> 8 & 3) << 4 | (v_front >> 4 & 3) << 2 | (v_sync >> 4 & 3);
  d[12] = mm_x;
  d[13] = mm_y;
  d[14] = (mm_x >> 8 & 15) << 4 | (mm_y >> 8 & 15);
  d[17] = 0x18; /* digital separate sync */
}

static void
edid_text (uint8_t *d, uint8_t tag, const char *text)
{
  size_t len = MIN (strlen (text), 13);

  d[3] = tag;
  memcpy (d + 5, text, len);
  if (len < 13)
    {
      d[5 + len] = '\n';
      memset (d + 6 + len, ' ', 12 - len);
    }
}

static void
edid_range_limits (uint8_t *d)
{
  d[3] = 0xfd;
  d[5] = 50;   /* Hz */
  d[6] = 125;
  d[7] = 30;   /* kHz */
  d[8] = 160;
  d[9] = 2550 / 10; /* MHz */
  d[10] = 1;   /* no timing formula */
  d[11] = '\n';
  memset (d + 12, ' ', 6);
}

static void
edid_base (const VmEdidInfo *info, uint8_t *e, unsigned extensions)
{
  const char *vendor = info->vendor && strlen (info->vendor) == 3 ? info->vendor : "VTR";
  unsigned mm_x = info->width_mm ? info->width_mm : info->width * 254 / 1000;
  unsigned mm_y = info->height_mm ? info->height_mm : info->height * 254 / 1000;
  unsigned refresh = info->refresh_mhz ? info->refresh_mhz : 75000;
  unsigned n_standard = 0;
  uint8_t *d = e + DESCRIPTORS;

  memset (e + 1, 0xff, 6);
  vm_store_be16 (e + 8, (vendor[0] & 31) << 10 | (vendor[1] & 31) << 5 | (vendor[2] & 31));
  vm_store_le16 (e + 10, 0x1234);
  e[16] = 1;            /* week and year of manufacture: 2024 */
  e[17] = 2024 - 1990;
  e[18] = 1;
  e[19] = 4;            /* version 1.4 */
  e[20] = 0xa5;         /* digital, 8 bits a colour, DisplayPort */
  e[21] = MIN (mm_x / 10, 255);
  e[22] = MIN (mm_y / 10, 255);
  e[23] = 120;          /* gamma 2.2 */
  e[24] = 0x06;         /* sRGB, preferred timing is native */
  /* sRGB primaries */
  memcpy (e + 25, (const uint8_t[]) { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54 }, 10);

  memset (e + 38, 1, 16);
  for (size_t i = 0; i < G_N_ELEMENTS (standard_modes); i++)
    {
      const StandardMode *mode = &standard_modes[i];

      if (!edid_fits (info, mode->width, mode->height))
        continue;
      if (mode->byte)
        e[mode->byte] |= 1u << mode->bit;
      else if (n_standard < 8 && edid_standard_timing (e + 38 + 2 * n_standard, mode->width, mode->height, 60))
        n_standard++;
    }
  /* Sizes of 4096 and more do not fit a detailed timing: the list above has to do. */
  if (info->width < 4096 && info->height < 4096)
    {
      edid_detailed_timing (d, info->width, info->height, refresh, mm_x, mm_y);
      d += DESCRIPTOR;
    }
  edid_range_limits (d);
  d += DESCRIPTOR;
  edid_text (d, 0xfc, info->name ? info->name : "Vitrine");
  d += DESCRIPTOR;
  if (d < e + DESCRIPTORS + DESCRIPTOR * N_DESCRIPTORS)
    {
      if (info->serial)
        edid_text (d, 0xff, info->serial);
      else
        d[3] = 0x10; /* dummy */
      d += DESCRIPTOR;
    }
  for (; d < e + DESCRIPTORS + DESCRIPTOR * N_DESCRIPTORS; d += DESCRIPTOR)
    d[3] = 0x10;
  e[126] = extensions;
  edid_checksum (e);
}

static void
edid_cta (const VmEdidInfo *info, uint8_t *e)
{
  uint8_t *codes = e + 5;

  e[0] = 2;
  e[1] = 3;
  for (size_t i = 0; i < G_N_ELEMENTS (standard_modes); i++)
    if (standard_modes[i].cta && edid_fits (info, standard_modes[i].width, standard_modes[i].height))
      *codes++ = standard_modes[i].cta;
  e[4] = 2 << 5 | (codes - e - 5); /* video data block */
  e[2] = codes - e;                /* detailed timings would begin here */
  edid_checksum (e);
}

void
vm_edid_make (const VmEdidInfo *info, uint8_t *out, size_t size)
{
  unsigned extensions = size >= 2 * BLOCK ? 1 : 0;

  memset (out, 0, size);
  edid_base (info, out, extensions);
  if (extensions)
    edid_cta (info, out + BLOCK);
}
