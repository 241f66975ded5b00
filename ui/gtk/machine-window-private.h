/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the machine's window share: window and pages (machine-window.c), actions (window-actions.c). */
#pragma once

#include "ui/gtk/attach.h"
#include "ui/gtk/clipboard.h"
#include "ui/gtk/console-page.h"
#include "ui/gtk/kept.h"
#include "ui/gtk/machine-window.h"
#include "ui/gtk/preferences.h"
#include "ui/gtk/remote.h"
#include "ui/gtk/shortcuts.h"
#include "ui/gtk/snapshots.h"
#include "ui/gtk/terminal-page.h"
#include "ui/gtk/type-text.h"

struct _VmMachineWindow {
  GtkWindow           parent_instance;
  VmSession          *session;
  VmUiOptions         options;
  GSettings          *preferences; /* NULL: none */
  VmSessionBus *bus;               /* NULL: none */
  GSimpleActionGroup *actions;
  GtkWidget          *menubar, *bars, *notebook, *strip, *jobs;
  GtkWidget          *overlay, *fullscreen_bar; /* over the tabs */
  GMenu              *consoles_menu, *devices_menu;
  VmDevices          *devices;   /* NULL: the window is gone */
  VmAttach            attach;
  VmSnapshots        *snapshots;
  VmRemote           *remote;
  VmTyping           *typing;    /* NULL: nothing is typed */
  char               *folder;    /* of the file chosen last; NULL: none yet */
  unsigned            cables, sounds; /* actions there are for them */
  VmUiClipboard      *clipboard; /* NULL: the window comes or goes */
  GPtrArray          *pages;     /* VmPage *: graphic consoles, then texts; in the notebook or in windows of their own */
  char               *notice;    /* why the machine stopped; NULL: it has not */
  VmGrabKeys grab_keys;
  char *grab_label; /* the same for people */
  VmZoom              zoom;
  VmKept kept;                   /* the size as it last was, out of full screen */
  guint settling;                /* a timer after changes of the size; 0: none */
  bool                hold_focused, hold_fullscreen; /* the keyboard, while it is here; in a full screen */
  bool                fullscreen, show_menubar, show_status;
  guint               patience;  /* a timer while the guest shuts down; 0: none */
  guint               follow;    /* frame tick; 0: none */
  unsigned            follow_ticks;
};

/* What a graphic console's page has; NULL for others. */
VmConsole         *vm_page_console (VmPage *page);
VmInputController *vm_page_input (VmPage *page);

/* The page that keys go to: that of an active detached window, else the tab in front. */
VmPage            *vm_window_current_page (VmMachineWindow *self);
VmInputController *vm_window_current_input (VmMachineWindow *self);
bool vm_window_is_detached (VmMachineWindow *self, VmPage *page);
GtkWidget *vm_window_detach (VmMachineWindow *self, VmPage *page); /* into a window of its own, which is returned */
void vm_window_release_all (VmMachineWindow *self); /* keys and grabs */
void vm_window_apply_zoom (VmMachineWindow *self);
void vm_window_apply_hold (VmMachineWindow *self);
void vm_window_show_chrome (VmMachineWindow *self); /* what is around the picture, as it should be now */

void vm_window_add_actions (VmMachineWindow *self);
void vm_window_add_device_actions (VmMachineWindow *self);
/* Once there is a session; and before it goes. */
void vm_window_set_up_devices (VmMachineWindow *self);
void vm_window_drop_devices (VmMachineWindow *self);
/* A bar says what becomes of what is pasted into PAGE. */
void vm_window_show_pasting (VmMachineWindow *self, VmTerminalPage *page);
/* Choices of questions: SELF is the window. */
void vm_window_force_off (gpointer self);
void vm_window_power_down (gpointer self);
void vm_window_keep_running (gpointer self); /* the window goes, the machine does not */
void vm_window_save_and_close (gpointer self);
void vm_window_present (VmMachineWindow *self);
void vm_window_stop_waiting (VmMachineWindow *self); /* for the guest to shut down */
