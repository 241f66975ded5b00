/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of the braille back end: displays of the host through BrlAPI (brltty). */
#include <brlapi.h>
#include <string.h>

#include "engine/char/char-braille.h"

typedef struct Display
{
  brlapi_handle_t *handle;
  unsigned cells;
} Display;

static void
display_free (Display *d)
{
  g_free (d->handle);
  g_free (d);
}

static void *
display_open (unsigned *cells, int *fd, GError **error)
{
  Display *d = g_new0 (Display, 1);
  unsigned columns = 0, rows = 0;

  d->handle = g_malloc0 (brlapi_getHandleSize ());
  *fd = brlapi__openConnection (d->handle, NULL, NULL);
  if (*fd < 0)
    {
      vm_fail (error, "brlapi__openConnection: %s", brlapi_strerror (brlapi_error_location ()));
      display_free (d);
      return NULL;
    }
  bool ok = brlapi__getDisplaySize (d->handle, &columns, &rows) >= 0 && columns > 0
            && (brlapi__enterTtyMode (d->handle, BRLAPI_TTY_DEFAULT, NULL) >= 0
                || brlapi__enterTtyModeWithPath (d->handle, NULL, 0, NULL) >= 0);
  if (!ok)
    {
      vm_fail (error, "the braille display cannot be used: %s", brlapi_strerror (brlapi_error_location ()));
      brlapi__closeConnection (d->handle);
      display_free (d);
      return NULL;
    }
  d->cells = columns;
  *cells = columns;
  return d;
}

static void
display_show (void *opaque, const uint8_t *dots, unsigned cells)
{
  Display *d = opaque;
  g_autofree uint8_t *none = g_malloc0 (d->cells), *all = g_malloc0 (d->cells);
  g_autofree char *text = g_strnfill (d->cells, ' ');
  brlapi_writeArguments_t args = BRLAPI_WRITEARGUMENTS_INITIALIZER;

  memcpy (all, dots, MIN (cells, d->cells));
  args.regionBegin = 1;
  args.regionSize = (int) d->cells;
  args.text = text;
  args.textSize = (int) d->cells;
  args.andMask = none;
  args.orMask = all;
  args.cursor = BRLAPI_CURSOR_OFF;
  brlapi__write (d->handle, &args); /* a server that has gone shows when keys are read */
}

static bool
display_read_key (void *opaque, VmBrailleKey *key, unsigned *value, bool *gone)
{
  /* The six keys beside the display, from the top left down, then from the top right down. */
  static const struct
  {
    brlapi_keyCode_t command;
    unsigned keys;
  } commands[] = {
    { BRLAPI_KEY_CMD_LNUP, 1 << 0 },          { BRLAPI_KEY_CMD_FWINLT, 1 << 1 }, { BRLAPI_KEY_CMD_LNDN, 1 << 2 },
    { BRLAPI_KEY_CMD_TOP, 1 << 3 },           { BRLAPI_KEY_CMD_FWINRT, 1 << 4 }, { BRLAPI_KEY_CMD_BOT, 1 << 5 },
    { BRLAPI_KEY_CMD_HOME, 1 << 0 | 1 << 2 },
  };
  Display *d = opaque;
  brlapi_keyCode_t code;
  int n = brlapi__readKey (d->handle, 0, &code);

  *gone = n < 0;
  if (n <= 0)
    return false;
  brlapi_keyCode_t command = code & (BRLAPI_KEY_TYPE_MASK | BRLAPI_KEY_CMD_BLK_MASK);
  *key = VM_BRAILLE_NONE;
  *value = 0;
  if (command == (BRLAPI_KEY_TYPE_CMD | BRLAPI_KEY_CMD_ROUTE))
    {
      *key = VM_BRAILLE_ROUTING;
      *value = (unsigned) (code & BRLAPI_KEY_CMD_ARG_MASK);
      return true;
    }
  for (unsigned i = 0; i < G_N_ELEMENTS (commands); i++)
    if ((code & (BRLAPI_KEY_TYPE_MASK | BRLAPI_KEY_CODE_MASK)) == (BRLAPI_KEY_TYPE_CMD | commands[i].command))
      {
        *key = VM_BRAILLE_DISPLAY;
        *value = commands[i].keys;
      }
  return true;
}

static void
display_close (void *opaque)
{
  Display *d = opaque;

  brlapi__leaveTtyMode (d->handle);
  brlapi__closeConnection (d->handle);
  display_free (d);
}

const VmBrailleApi vm_braille_brlapi = {
  .open = display_open,
  .show = display_show,
  .read_key = display_read_key,
  .close = display_close,
};
