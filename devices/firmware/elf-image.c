/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ELF-32 and ELF-64 program headers and notes (System V ABI, chapter 5). The file is not trusted: every offset
 * is checked against its size. */
#include "devices/firmware/elf-image.h"

#include <elf.h>

#define NOTE_PHYS32_ENTRY 18 /* Xen: XEN_ELFNOTE_PHYS32_ENTRY */
#define MAX_HEADERS 256

typedef struct Segment { /* the fields of both classes */
  uint32_t type;
  uint64_t offset, vaddr, paddr, filesz, memsz;
} Segment;

bool
vm_elf_is (GBytes *file)
{
  size_t size;
  const uint8_t *data = g_bytes_get_data (file, &size);

  return size >= sizeof (Elf32_Ehdr) && memcmp (data, ELFMAG, SELFMAG) == 0;
}

static bool
elf_read_segments (const uint8_t *data, size_t size, VmElfImage *image, GArray *segments, uint64_t *entry,
                   GError **error)
{
  uint64_t table;
  unsigned n, stride;

  if (data[EI_DATA] != ELFDATA2LSB)
    return vm_fail (error, "not a little-endian ELF file");
  image->is64 = data[EI_CLASS] == ELFCLASS64;
  if (image->is64)
    {
      Elf64_Ehdr header;

      if (size < sizeof header)
        return vm_fail (error, "the ELF header is cut off");
      memcpy (&header, data, sizeof header);
      *entry = header.e_entry;
      table = header.e_phoff;
      n = header.e_phnum;
      stride = header.e_phentsize;
      if (header.e_machine != EM_X86_64 || stride < sizeof (Elf64_Phdr))
        return vm_fail (error, "not an ELF file for x86");
    }
  else
    {
      Elf32_Ehdr header;

      memcpy (&header, data, sizeof header);
      *entry = header.e_entry;
      table = header.e_phoff;
      n = header.e_phnum;
      stride = header.e_phentsize;
      if (header.e_machine != EM_386 || stride < sizeof (Elf32_Phdr))
        return vm_fail (error, "not an ELF file for x86");
    }
  if (n > MAX_HEADERS || table > size || (uint64_t) n * stride > size - table)
    return vm_fail (error, "the ELF program headers are cut off");

  for (unsigned i = 0; i < n; i++)
    {
      const uint8_t *at = data + table + (size_t) i * stride;
      Segment segment;

      if (image->is64)
        {
          Elf64_Phdr p;

          memcpy (&p, at, sizeof p);
          segment = (Segment) { p.p_type, p.p_offset, p.p_vaddr, p.p_paddr, p.p_filesz, p.p_memsz };
        }
      else
        {
          Elf32_Phdr p;

          memcpy (&p, at, sizeof p);
          segment = (Segment) { p.p_type, p.p_offset, p.p_vaddr, p.p_paddr, p.p_filesz, p.p_memsz };
        }
      if (segment.offset > size || segment.filesz > size - segment.offset
          || (segment.type == PT_LOAD && segment.filesz > segment.memsz))
        return vm_fail (error, "an ELF segment lies outside the file");
      g_array_append_val (segments, segment);
    }
  return true;
}

static void
elf_read_notes (const uint8_t *notes, size_t size, VmElfImage *image)
{
  while (size >= sizeof (Elf32_Nhdr))
    {
      Elf32_Nhdr note;

      memcpy (&note, notes, sizeof note);

      uint64_t name_size = VM_ALIGN_UP ((uint64_t) note.n_namesz, 4);
      uint64_t whole = sizeof note + name_size + VM_ALIGN_UP ((uint64_t) note.n_descsz, 4);

      if (sizeof note + name_size + note.n_descsz > size)
        return;
      if (note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == 4 && memcmp (notes + sizeof note, "Xen", 4) == 0
          && note.n_descsz >= 4)
        {
          image->has_pvh = true;
          image->pvh_entry = vm_load_le32 (notes + sizeof note + name_size);
        }
      notes += MIN (whole, size);
      size -= MIN (whole, size);
    }
}

bool
vm_elf_load (GBytes *file, uint64_t max_size, VmElfImage *image, GError **error)
{
  size_t size;
  const uint8_t *data = g_bytes_get_data (file, &size);
  g_autoptr (GArray) segments = g_array_new (FALSE, FALSE, sizeof (Segment));
  uint64_t entry, low = UINT64_MAX, high = 0;

  memset (image, 0, sizeof *image);
  if (!elf_read_segments (data, size, image, segments, &entry, error))
    return false;

  for (unsigned i = 0; i < segments->len; i++)
    {
      const Segment *s = &g_array_index (segments, Segment, i);

      if (s->type == PT_NOTE)
        elf_read_notes (data + s->offset, s->filesz, image);
      if (s->type != PT_LOAD || s->memsz == 0)
        continue;
      if (s->paddr + s->memsz < s->paddr)
        return vm_fail (error, "an ELF segment wraps around the address space");
      low = MIN (low, s->paddr);
      high = MAX (high, s->paddr + s->memsz);
    }
  if (low >= high || high - low > max_size)
    return vm_fail (error, "the ELF segments do not fit into the machine's memory");

  image->start = low;
  image->entry = entry;
  image->data = g_byte_array_sized_new (high - low);
  g_byte_array_set_size (image->data, high - low);
  memset (image->data->data, 0, high - low);
  for (unsigned i = 0; i < segments->len; i++)
    {
      const Segment *s = &g_array_index (segments, Segment, i);

      if (s->type != PT_LOAD || s->memsz == 0)
        continue;
      memcpy (image->data->data + (s->paddr - low), data + s->offset, s->filesz);
      if (entry >= s->vaddr && entry - s->vaddr < s->memsz)
        image->entry = entry - s->vaddr + s->paddr;
    }
  return true;
}

void
vm_elf_image_clear (VmElfImage *image)
{
  g_clear_pointer (&image->data, g_byte_array_unref);
}
