/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signatures: ECMA-119 8.1 and ECMA-167 2/9.1 (volume descriptors from byte 32768 on), UEFI 5 (partition tables),
 * Linux' Documentation/arch/x86/boot.rst, RFC 1952, POSIX ustar, the xz and zstd formats. */
#include "config.h"

#include "ui/gtk/file-kind.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS 32768 /* where a volume's begin */

void
vm_file_info_free (gpointer data)
{
  VmFileInfo *info = data;

  if (!info)
    return;
  g_free (info->path);
  g_free (info->format);
  g_free (info->error);
  g_free (info);
}

static bool
has (const guint8 *head, gsize n, gsize at, const char *magic, gsize len)
{
  return at + len <= n && !memcmp (head + at, magic, len);
}

static bool
is_volume (const guint8 *head, gsize n)
{
  for (gsize at = DESCRIPTORS; at + 6 <= n; at += 2048)
    if (has (head, n, at + 1, "CD001", 5) || has (head, n, at + 1, "NSR0", 4))
      return true;
    else if (!has (head, n, at + 1, "BEA01", 5))
      return false;
  return false;
}

/* A boot sector whose partition table makes sense, a GPT, or a file system that has one itself. */
static bool
is_disk (const guint8 *head, gsize n, guint64 size)
{
  unsigned used = 0;

  if (size < 512 || size % 512)
    return false;
  if (has (head, n, 512, "EFI PART", 8) || has (head, n, 1080, "\x53\xef", 2) /* ext2 and its children */
      || has (head, n, 0, "XFSB", 4) || has (head, n, 65600, "_BHRfS_M", 8))
    return true;
  if (!has (head, n, 510, "\x55\xaa", 2))
    return false;
  if (has (head, n, 54, "FAT", 3) || has (head, n, 82, "FAT32", 5) || has (head, n, 3, "NTFS", 4)
      || has (head, n, 3, "EXFAT", 5))
    return true;
  for (unsigned i = 0; i < 4; i++)
    {
      const guint8 *entry = head + 446 + 16 * i;
      if (entry[0] & 0x7f)
        return false;
      used += entry[4] != 0;
    }
  return used > 0;
}

static bool
is_floppy_size (guint64 size)
{
  static const guint16 kib[] = { 160, 180, 320, 360, 720, 1200, 1440, 1680, 2880 };

  for (unsigned i = 0; i < G_N_ELEMENTS (kib); i++)
    if (size == kib[i] * 1024u)
      return true;
  return false;
}

static const char *
archive_of (const guint8 *head, gsize n)
{
  static const struct
  {
    const char *magic;
    guint8 len;
    guint16 at;
    const char *name;
  } kinds[] = {
    { "\xfd"
      "7zXZ",
      6, 0, "xz" },
    { "\x1f\x8b", 2, 0, "gzip" },
    { "BZh", 3, 0, "bzip2" },
    { "\x28\xb5\x2f\xfd", 4, 0, "zstd" },
    { "PK\3\4", 4, 0, "zip" },
    { "7z\xbc\xaf\x27\x1c", 6, 0, "7z" },
    { "ustar", 5, 257, "tar" },
  };

  for (unsigned i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (has (head, n, kinds[i].at, kinds[i].magic, kinds[i].len))
      return kinds[i].name;
  return NULL;
}

VmFileKind
vm_file_kind_of (const guint8 *head, gsize n, guint64 size, const char **format)
{
  *format = NULL;
  if (is_volume (head, n))
    return VM_FILE_ISO;
  if (has (head, n, 0x202, "HdrS", 4))
    return VM_FILE_KERNEL;
  if ((*format = archive_of (head, n)))
    return VM_FILE_ARCHIVE;
  if (is_disk (head, n, size))
    {
      *format = "raw";
      return is_floppy_size (size) ? VM_FILE_FLOPPY : VM_FILE_RAW;
    }
  return VM_FILE_OTHER;
}

static void
look_into (VmFileInfo *info, int fd, const struct stat *st)
{
  g_autofree guint8 *head = g_malloc0 (VM_FILE_HEAD);
  const char *format = NULL;
  guint64 size = (guint64) st->st_size;
  ssize_t n = pread (fd, head, VM_FILE_HEAD, 0);

  if (n < 0)
    {
      info->error = g_strdup (g_strerror (errno));
      return;
    }
  if (S_ISBLK (st->st_mode) && ioctl (fd, BLKGETSIZE64, &size) < 0)
    size = 0;
  info->size = (int64_t) size;
  info->kind = vm_file_kind_of (head, (gsize) n, size, &format);
  info->format = g_strdup (format);
}

static void
look (GTask *task, gpointer source, gpointer task_data, GCancellable *cancellable)
{
  VmFileInfo *info = g_new0 (VmFileInfo, 1);
  struct stat st;
  /* A pipe must not keep us. */
  int fd = open (task_data, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

  info->path = g_strdup (task_data);
  if (fd < 0 || fstat (fd, &st) < 0)
    info->error = g_strdup (g_strerror (errno));
  else if (S_ISDIR (st.st_mode))
    info->kind = VM_FILE_FOLDER;
  else if (S_ISREG (st.st_mode) || S_ISBLK (st.st_mode))
    look_into (info, fd, &st);
  else
    info->error = g_strdup (_ ("It is neither a file nor a folder."));
  if (fd >= 0)
    close (fd);
  g_task_return_pointer (task, info, vm_file_info_free);
}

void
vm_file_look_async (const char *path, GCancellable *cancellable, GAsyncReadyCallback done, gpointer data)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, done, data);

  g_task_set_task_data (task, g_strdup (path), g_free);
  g_task_run_in_thread (task, look);
}

VmFileInfo *
vm_file_look_finish (GAsyncResult *result)
{
  return g_task_propagate_pointer (G_TASK (result), NULL); /* NULL: cancelled */
}

char *
vm_file_describe (const VmFileInfo *info)
{
  switch (info->kind)
    {
    case VM_FILE_FOLDER:
      return g_strdup (_ ("folder"));
    case VM_FILE_ISO:
      return g_strdup (_ ("CD or DVD image"));
    case VM_FILE_IMAGE:
    case VM_FILE_RAW:
      /* Translators: %s is a format, such as "qcow2". */
      return g_strdup_printf (_ ("disk image (%s)"), info->format);
    case VM_FILE_FLOPPY:
      return g_strdup (_ ("floppy image"));
    case VM_FILE_KERNEL:
      return g_strdup (_ ("Linux kernel"));
    case VM_FILE_ARCHIVE:
      /* Translators: %s is a kind, such as "zip". */
      return g_strdup_printf (_ ("packed file (%s)"), info->format);
    case VM_FILE_OTHER:
      return g_strdup (_ ("file"));
    default:
      return g_strdup (info->error ? info->error : _ ("cannot be read"));
    }
}
