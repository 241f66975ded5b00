/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that people drop: any bytes at all, of a size that the first ones say. */
#include "tests/fuzz/fuzz.h"

#include "ui/gtk/file-kind.h"

void
fuzz_one (const uint8_t *data, size_t size)
{
  Input in = { data, size };
  uint64_t claimed = take (&in, 4);
  const char *format;

  if (take (&in, 1) & 1)
    claimed = in.left;
  g_autofree uint8_t *head = g_memdup2 (in.data, in.left); /* so that its end is the end */
  VmFileKind kind = vm_file_kind_of (head, MIN (in.left, VM_FILE_HEAD), claimed, &format);
  const VmFileInfo info
      = { .path = (char *) "file", .kind = kind, .format = (char *) format, .size = (int64_t) claimed };
  g_autofree char *text = vm_file_describe (&info);
  g_assert (*text);
}

/* What it looks for, where it looks for it. */
void
fuzz_make (GRand *rand, GByteArray *input)
{
  static const struct
  {
    unsigned at;
    const char *magic;
  } signs[] = {
    { 0x8000, "\1CD001\1" },
    { 0x8001, "CD001" },
    { 0x8801, "NSR02" },
    { 0x8001, "BEA01" },
    { 0x9001, "TEA01" },
    { 0x1fe, "\x55\xaa" },
    { 0x202, "HdrS" },
    { 0, "\x1f\x8b" },
    { 0, "PK\3\4" },
    { 257, "ustar" },
    { 0x36, "FAT12   " },
    { 0x52, "FAT32   " },
    { 0x438, "\x53\xef" },
    { 3, "NTFS    " },
    { 0x200, "EFI PART" },
    { 0, "\xfd"
         "7zXZ" },
    { 0, "7z\xbc\xaf" },
    { 0, "Rar!" },
    { 0, "\x28\xb5\x2f" },
    { 0, "BZh" },
  };
  unsigned n = (unsigned) g_rand_int_range (rand, 0, 4) * 17000 + (unsigned) g_rand_int_range (rand, 0, 600);

  g_byte_array_set_size (input, n + 5);
  memset (input->data, 0, n + 5);
  for (int i = g_rand_int_range (rand, 0, 4); i > 0; i--)
    {
      unsigned which = (unsigned) g_rand_int_range (rand, 0, G_N_ELEMENTS (signs)), len = strlen (signs[which].magic);
      if (signs[which].at + len <= n)
        memcpy (input->data + 5 + signs[which].at, signs[which].magic, len);
    }
  for (int i = g_rand_int_range (rand, 0, 20); i > 0 && n; i--)
    input->data[g_rand_int_range (rand, 0, (int) n + 5)] = (uint8_t) g_rand_int (rand);
}
