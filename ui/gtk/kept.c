/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All machines' are in one file, a group each; who changes it has it locked. It is as good as lost when it cannot be
 * read or written: nobody is told. */
#include "config.h"

#include "ui/gtk/kept.h"

#include <fcntl.h>
#include <glib.h>
#include <sys/file.h>
#include <unistd.h>

#define SIZE_MAX_KEPT 32767 /* what X11 has */

static const char *const mode_names[] = { [VM_ZOOM_FIXED] = "fixed", [VM_ZOOM_FIT] = "fit", [VM_ZOOM_INTEGER] = "integer" };

/* NULL: there is none. */
static char *
group_of (const VmSettings *settings)
{
  g_autoptr (GString) group = g_string_new ("uuid ");

  if (settings->uuid_given)
    {
      for (unsigned i = 0; i < G_N_ELEMENTS (settings->uuid); i++)
        g_string_append_printf (group, "%02x", settings->uuid[i]);
      return g_string_free (g_steal_pointer (&group), FALSE);
    }
  g_autofree char *name = settings->name ? g_uri_escape_string (settings->name, NULL, FALSE) : NULL;
  return name ? g_strconcat ("name ", name, NULL) : NULL;
}

static char *
kept_path (void)
{
  return g_build_filename (g_get_user_state_dir (), "vitrine", "ui.ini", NULL);
}

static void
load_number (GKeyFile *file, const char *group, const char *key, int min, int max, int *number)
{
  g_autoptr (GError) error = NULL;
  int value = g_key_file_get_integer (file, group, key, &error);

  if (!error && value >= min && value <= max)
    *number = value;
}

static void
load_flag (GKeyFile *file, const char *group, const char *key, bool *flag)
{
  g_autoptr (GError) error = NULL;
  gboolean value = g_key_file_get_boolean (file, group, key, &error);

  if (!error)
    *flag = value;
}

void
vm_kept_load (const VmSettings *settings, VmKept *kept)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *group = group_of (settings), *path = kept_path (), *mode = NULL;
  int percent = (int) kept->zoom.percent;

  if (!group || !g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL))
    return;
  load_number (file, group, "width", 1, SIZE_MAX_KEPT, &kept->width);
  load_number (file, group, "height", 1, SIZE_MAX_KEPT, &kept->height);
  load_number (file, group, "percent", VM_ZOOM_MIN, VM_ZOOM_MAX, &percent);
  load_flag (file, group, "desktop-pixels", &kept->zoom.logical);
  load_flag (file, group, "resize-guest", &kept->zoom.hints);
  kept->zoom.percent = (unsigned) percent;
  mode = g_key_file_get_string (file, group, "zoom", NULL);
  for (unsigned i = 0; i < G_N_ELEMENTS (mode_names); i++)
    if (!g_strcmp0 (mode, mode_names[i]))
      kept->zoom.mode = (VmZoomMode) i;
}

void
vm_kept_save (const VmSettings *settings, const VmKept *kept)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *group = group_of (settings), *path = kept_path ();
  g_autofree char *folder = g_path_get_dirname (path), *lock = g_strconcat (path, ".lock", NULL);

  if (!group || g_mkdir_with_parents (folder, 0700) != 0)
    return;
  int fd = open (lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return;
  if (flock (fd, LOCK_EX) == 0)
    {
      g_key_file_load_from_file (file, path, G_KEY_FILE_KEEP_COMMENTS, NULL);
      if (kept->width)
        {
          g_key_file_set_integer (file, group, "width", kept->width);
          g_key_file_set_integer (file, group, "height", kept->height);
        }
      g_key_file_set_string (file, group, "zoom", mode_names[kept->zoom.mode]);
      g_key_file_set_integer (file, group, "percent", (int) kept->zoom.percent);
      g_key_file_set_boolean (file, group, "desktop-pixels", kept->zoom.logical);
      g_key_file_set_boolean (file, group, "resize-guest", kept->zoom.hints);
      g_key_file_save_to_file (file, path, NULL);
    }
  close (fd);
}
