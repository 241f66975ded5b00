/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Back ends on files: file, pipe, and null. */
#include "engine/char/char-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct FileChar {
  VmChardev    parent;
  VmCharStream stream;
} FileChar;

static size_t
file_write (VmChardev *chr, const uint8_t *buf, size_t len)
{
  return vm_char_stream_write (&((FileChar *) chr)->stream, buf, len);
}

static void
file_accept_input (VmChardev *chr)
{
  vm_char_stream_accept_input (&((FileChar *) chr)->stream);
}

static void
file_close (VmChardev *chr)
{
  vm_char_stream_close (&((FileChar *) chr)->stream);
}

static bool
file_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  const char *path = vm_char_require (options, "path", "file", "no filename given", error);
  const char *input = vm_keyvals_get (options, "input-path");
  bool append = false;
  int in = -1;

  if (!path || !vm_keyvals_bool (options, "append", &append, error))
    return false;
  int out = vm_char_open_path (path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), error);
  if (out < 0 && !access (path, W_OK)) /* a FIFO that nobody reads yet */
    {
      g_clear_error (error);
      out = vm_char_open_path (path, O_RDWR, error);
    }
  if (out >= 0 && input)
    in = vm_char_open_path (input, O_RDONLY, error);
  if (out < 0 || (input && in < 0))
    {
      if (out >= 0)
        close (out);
      return false;
    }
  chr->open = true;
  vm_chardev_set_filename (chr, "file");
  vm_char_stream_open (&((FileChar *) chr)->stream, chr, in, out);
  return true;
}

static const VmChardevClass file_class = {
  .backend = "file", .open = file_open, .close = file_close, .write = file_write, .accept_input = file_accept_input,
};

const VmType vm_chardev_file_type = {
  .name = "chardev-file", .parent = &vm_chardev_type, .size = sizeof (FileChar), .help = "writes to a file",
  .klass = &file_class,
};

/* Two FIFOs PATH.in and PATH.out, or one thing at PATH for both directions. */
static bool
pipe_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  const char *path = vm_char_require (options, "path", "pipe", "no device path given", error);

  if (!path)
    return false;
  g_autofree char *in_path = g_strconcat (path, ".in", NULL), *out_path = g_strconcat (path, ".out", NULL);
  /* Read and write, so that a FIFO opens without anybody at its other end and does not end with him. */
  int in = vm_char_open_path (in_path, O_RDWR, NULL), out = vm_char_open_path (out_path, O_RDWR, NULL);
  if (in < 0 || out < 0)
    {
      if (in >= 0)
        close (in);
      if (out >= 0)
        close (out);
      in = out = vm_char_open_path (path, O_RDWR, error);
      if (in < 0)
        return false;
    }
  chr->open = true;
  vm_chardev_set_filename (chr, "pipe");
  vm_char_stream_open (&((FileChar *) chr)->stream, chr, in, out);
  return true;
}

static const VmChardevClass pipe_class = {
  .backend = "pipe", .open = pipe_open, .close = file_close, .write = file_write, .accept_input = file_accept_input,
};

const VmType vm_chardev_pipe_type = {
  .name = "chardev-pipe", .parent = &vm_chardev_type, .size = sizeof (FileChar), .help = "named pipes",
  .klass = &pipe_class,
};

static bool
null_open (VmChardev *chr, const VmCharOptions *options, GError **error)
{
  chr->open = true;
  vm_chardev_set_filename (chr, "null");
  return true;
}

static const VmChardevClass null_class = { .backend = "null", .open = null_open };

const VmType vm_chardev_null_type = {
  .name = "chardev-null", .parent = &vm_chardev_type, .size = sizeof (VmChardev), .help = "swallows all, says nothing",
  .klass = &null_class,
};
