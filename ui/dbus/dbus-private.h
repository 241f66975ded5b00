/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this folder share. All of it is on the main thread. */
#pragma once

#include <gio/gio.h>

#include "engine/machine/session.h"
#include "ui/dbus/display1.h"

#define DBUS_ROOT "/org/qemu/Display1"

typedef struct DbusUi DbusUi;
typedef struct DbusConsole DbusConsole;
typedef struct DbusAudio DbusAudio;
typedef struct DbusChardev DbusChardev;
typedef struct DbusClipboard DbusClipboard;
typedef struct DbusListener DbusListener;

struct DbusUi
{
  VmSession *session;
  GMainLoop *loop;
  GDBusConnection *connection; /* the bus, or the one client; NULL: none yet */
  GDBusObjectManagerServer *manager;
  VmdVM *vm;
  GPtrArray *consoles; /* DbusConsole *, in their order */
  GPtrArray *chardevs; /* DbusChardev * */
  DbusClipboard *clipboard;
  DbusAudio *audio; /* NULL: nobody asked for it */
  int input_woken;  /* atomic */
};

/* Kinds of error that clients know. */
#define DBUS_FAILED "org.qemu.Display1.Error.Failed"
#define DBUS_INVALID "org.qemu.Display1.Error.Invalid"
#define DBUS_UNSUPPORTED "org.qemu.Display1.Error.Unsupported"
void dbus_refuse (GDBusMethodInvocation *invocation, const char *kind, const char *why);
/* The descriptor that HANDLE of a call means, the caller's; -1: refused. */
int dbus_take_fd (GDBusMethodInvocation *invocation, GUnixFDList *fds, GVariant *handle);

DbusConsole *dbus_console_new (DbusUi *ui, VmConsole *console);
void dbus_console_free (DbusConsole *console);
VmConsole *dbus_console_console (const DbusConsole *console);
void dbus_console_input_changed (DbusConsole *console);

/* A client that sees a console over a connection of its own, whose end is FD, which is taken over. */
DbusListener *dbus_listener_new (VmDisplay *display, VmConsole *console, int fd,
                                 void (*gone) (DbusListener *listener, void *opaque), void *opaque);
void dbus_listener_free (DbusListener *listener);

DbusChardev *dbus_chardev_new (DbusUi *ui, VmText *text);
void dbus_chardev_free (DbusChardev *chardev);
VmText *dbus_chardev_text (const DbusChardev *chardev);

/* For audiodevs with the driver "dbus". */
DbusAudio *dbus_audio_new (VmMachine *machine, GDBusObjectManagerServer *manager);
void dbus_audio_free (DbusAudio *audio);

DbusClipboard *dbus_clipboard_new (DbusUi *ui);
void dbus_clipboard_free (DbusClipboard *clipboard);
void dbus_clipboard_client_gone (DbusClipboard *clipboard); /* of the one connection there is */
