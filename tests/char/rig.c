/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests of character back ends. */
#include "tests/char/rig.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t
front_can_receive (void *opaque)
{
  return ((Front *) opaque)->room;
}

static void
front_receive (void *opaque, const uint8_t *buf, size_t len)
{
  Front *f = opaque;

  g_assert_cmpuint (len, <=, f->room);
  g_string_append_len (f->got, (const char *) buf, len);
}

static void
front_event (void *opaque, VmCharEvent event)
{
  static const char *const names[] = { "<open>", "<closed>", "<break>", "<in>", "<out>" };

  g_string_append (((Front *) opaque)->got, names[event]);
}

static void
front_writable (void *opaque)
{
  ((Front *) opaque)->writable++;
}

const VmCharFeOps front_ops = { front_can_receive, front_receive, front_event, front_writable };

void
front_attach (Front *f, VmChardev *chr)
{
  *f = (Front){ .got = g_string_new (NULL), .room = 1000 };
  g_assert_true (vm_char_fe_attach_to (&f->fe, chr, &front_ops, f, NULL));
}

void
front_end (Front *f)
{
  vm_char_fe_detach (&f->fe);
  g_string_free (f->got, TRUE);
}

void
front_write (Front *f, const char *text)
{
  g_assert_cmpuint (vm_char_fe_write (&f->fe, text, strlen (text)), ==, strlen (text));
}

/* --- set-up ------------------------------------------------------------------------------------ */

static void
env_quit (void *opaque)
{
  ((Fixture *) opaque)->quits++;
}

static void
env_commit (void *opaque)
{
  ((Fixture *) opaque)->commits++;
}

static void
env_exit (void *opaque, int status)
{
  ((Fixture *) opaque)->exit_status = status;
}

static void
env_vc_added (void *opaque, VmChardev *chr, const VmCharOptions *options)
{
  ((Fixture *) opaque)->vc = chr;
}

void
set_up (Fixture *f, const void *data)
{
  f->lock = vm_lock_new ();
  f->loop = vm_loop_new ("test", f->lock);
  f->clocks = vm_clocks_new (f->loop);
  f->root = vm_object_new (&vm_container_type);
  f->env = (VmCharEnv){ .loop = f->loop,
                        .clocks = f->clocks,
                        .root = f->root,
                        .opaque = f,
                        .quit = env_quit,
                        .commit = env_commit,
                        .exit = env_exit,
                        .vc_added = env_vc_added };
  f->dir = g_dir_make_tmp ("test-char-XXXXXX", NULL);
  f->exit_status = -1;
  f->entered = vm_lock_enter (f->lock);
}

void
spin (Fixture *f)
{
  for (unsigned i = 0; i < 20; i++)
    vm_loop_iterate (f->loop, false);
}

/* Turns the loop until GOT is WANT. */
void
expect (Fixture *f, Front *front, const char *want)
{
  for (unsigned i = 0; i < 2000 && strcmp (front->got->str, want); i++)
    {
      vm_loop_iterate (f->loop, false);
      g_usleep (500);
    }
  g_assert_cmpstr (front->got->str, ==, want);
  g_string_truncate (front->got, 0);
}

void
tear_down (Fixture *f, const void *data)
{
  vm_chardev_remove_all (&f->env);
  spin (f);
  vm_object_unref (f->root);
  vm_lock_leave (f->lock, f->entered);
  vm_clocks_free (f->clocks);
  vm_loop_free (f->loop);
  vm_lock_free (f->lock);

  GDir *dir = g_dir_open (f->dir, 0, NULL);
  for (const char *name; (name = g_dir_read_name (dir));)
    {
      g_autofree char *path = g_build_filename (f->dir, name, NULL);
      g_unlink (path);
    }
  g_dir_close (dir);
  g_rmdir (f->dir);
  g_free (f->dir);
}

/* "%" in TEXT is the test's folder. */
char *
in_dir (Fixture *f, const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "%", -1);

  return g_strjoinv (f->dir, parts);
}

VmChardev *
try_new (Fixture *f, const char *text, GError **error)
{
  g_autofree char *full = in_dir (f, text);
  g_autoptr (VmCharOptions) options = vm_char_options_parse (full, error);

  return options ? vm_chardev_new (&f->env, options, error) : NULL;
}

VmChardev *
make (Fixture *f, const char *text)
{
  g_autoptr (GError) error = NULL;
  VmChardev *chr = try_new (f, text, &error);

  g_assert_no_error (error);
  return chr;
}

void
expect_error (Fixture *f, const char *text, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *want = in_dir (f, message);

  g_assert_null (try_new (f, text, &error));
  g_assert_cmpstr (error->message, ==, want);
}

void
expect_file (Fixture *f, const char *name, const char *want)
{
  g_autofree char *path = in_dir (f, name), *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, want);
}

/* What a plain descriptor gives within a second. */
void
expect_read (Fixture *f, int fd, const char *want)
{
  GString *got = g_string_new (NULL);

  for (unsigned i = 0; i < 2000 && got->len < strlen (want); i++)
    {
      char buf[256];
      struct pollfd p = { .fd = fd, .events = POLLIN };

      vm_loop_iterate (f->loop, false);
      if (poll (&p, 1, 1) <= 0)
        continue;
      ssize_t n = read (fd, buf, MIN (sizeof buf, strlen (want) - got->len));
      if (n > 0)
        g_string_append_len (got, buf, n);
    }
  g_assert_cmpstr (got->str, ==, want);
  g_string_free (got, TRUE);
}

void
put (int fd, const char *text)
{
  g_assert_cmpint (write (fd, text, strlen (text)), ==, strlen (text));
}

int
connect_tcp (VmChardev *chr)
{
  const char *port = strrchr (vm_chardev_filename (chr), ':') + 1;
  struct sockaddr_in addr
      = { .sin_family = AF_INET, .sin_port = htons (atoi (port)), .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  int fd = socket (AF_INET, SOCK_STREAM, 0);

  g_assert_cmpint (connect (fd, (struct sockaddr *) &addr, sizeof addr), ==, 0);
  return fd;
}
