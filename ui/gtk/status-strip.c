/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Labels in a row. */
#include "config.h"

#include "ui/gtk/status-strip.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <unistd.h>

struct _VmStatusStrip {
  GtkBox     parent_instance;
  VmSession *session;
  GtkWidget *state, *accel, *kept, *mode, *grab;
};

G_DEFINE_TYPE (VmStatusStrip, vm_status_strip, GTK_TYPE_BOX)

static void
vm_status_strip_class_init (VmStatusStripClass *klass)
{
}

static GtkWidget *
add_label (VmStatusStrip *self, const char *name, bool at_end)
{
  GtkWidget *label = gtk_label_new (NULL);

  gtk_widget_set_name (label, name);
  gtk_label_set_ellipsize (GTK_LABEL (label), PANGO_ELLIPSIZE_END);
  gtk_label_set_xalign (GTK_LABEL (label), at_end ? 1 : 0);
  if (at_end)
    gtk_box_pack_end (GTK_BOX (self), label, TRUE, TRUE, 6);
  else
    gtk_box_pack_start (GTK_BOX (self), label, FALSE, TRUE, 6);
  return label;
}

static void
vm_status_strip_init (VmStatusStrip *self)
{
  gtk_style_context_add_class (gtk_widget_get_style_context (GTK_WIDGET (self)), "vitrine-status");
  self->state = add_label (self, "state", false);
  self->accel = add_label (self, "accel", false);
  self->kept = add_label (self, "kept", false);
  self->mode = add_label (self, "mode", false);
  self->grab = add_label (self, "grab", true);
  gtk_widget_show_all (GTK_WIDGET (self));
}

static const char *
words_of_state (VmRunState state)
{
  switch (state)
    {
    case VM_RUN_RUNNING:
      return _("Running");
    case VM_RUN_PAUSED:
    case VM_RUN_PRELAUNCH:
      return _("Paused");
    case VM_RUN_SHUTDOWN:
      return _("Off");
    case VM_RUN_SUSPENDED:
      return _("Asleep");
    case VM_RUN_IO_ERROR:
      return _("Waits for a disk");
    case VM_RUN_SAVE_VM:
    case VM_RUN_FINISH_MIGRATE:
      return _("Saving");
    case VM_RUN_RESTORE_VM:
    case VM_RUN_INMIGRATE:
      return _("Loading");
    case VM_RUN_GUEST_PANICKED:
    case VM_RUN_INTERNAL_ERROR:
      return _("Crashed");
    default:
      return _("Stopped");
    }
}

/* Why it is slow, when it is. */
static void
describe_accel (VmStatusStrip *self)
{
  const VmSettings *settings = vm_session_settings (self->session);
  const char *why = _("The options did not ask for KVM: “-accel kvm:tcg” does.");
  bool wanted = false;

  for (guint i = 0; i < settings->accels->len; i++)
    wanted |= !g_strcmp0 (vm_keyvals_get (settings->accels->pdata[i], "accel"), "kvm");
  if (!g_strcmp0 (vm_session_accel (self->session), "kvm"))
    {
      gtk_label_set_text (GTK_LABEL (self->accel), "KVM");
      gtk_widget_set_tooltip_text (self->accel, _("The guest runs on the host's processor."));
      return;
    }
  if (access ("/dev/kvm", F_OK) < 0)
    why = _("This host has no /dev/kvm: its processor's virtualization is off in the firmware setup, or not passed on to it.");
  else if (access ("/dev/kvm", R_OK | W_OK) < 0)
    why = _("/dev/kvm may not be opened: “sudo usermod -aG kvm $USER”, then log in again.");
  else if (wanted)
    why = _("KVM was asked for but did not start.");
  gtk_label_set_text (GTK_LABEL (self->accel), _("Emulated"));
  gtk_widget_set_tooltip_text (self->accel, why);
}

/* What is written to disks may be gone when the machine ends: -snapshot, or snapshot=on of a drive. */
static void
describe_keeping (VmStatusStrip *self)
{
  const VmSettings *settings = vm_session_settings (self->session);
  unsigned forgets = 0;

  for (guint i = 0; i < settings->drives->len; i++)
    forgets += ((const VmDriveSpec *) settings->drives->pdata[i])->snapshot;
  gtk_widget_set_visible (self->kept, forgets > 0);
  gtk_label_set_text (GTK_LABEL (self->kept),
                      forgets == settings->drives->len ? _ ("Changes are not kept") : _ ("Some changes are not kept"));
  gtk_widget_set_tooltip_text (self->kept,
                               _ ("What the guest writes to disks is dropped when the machine ends (-snapshot), "
                                  "unless it is committed in the monitor."));
}

GtkWidget *
vm_status_strip_new (VmSession *session)
{
  VmStatusStrip *self = g_object_new (VM_TYPE_STATUS_STRIP, NULL);

  self->session = session;
  describe_accel (self);
  describe_keeping (self);
  return GTK_WIDGET (self);
}

void
vm_status_strip_add_tray (VmStatusStrip *self, GtkWidget *tray)
{
  gtk_box_pack_end (GTK_BOX (self), tray, FALSE, TRUE, 0);
}

void
vm_status_strip_update (VmStatusStrip *self, VmDisplayWidget *display, const char *release)
{
  g_autofree char *mode = NULL;

  gtk_label_set_text (GTK_LABEL (self->state), words_of_state (vm_session_state (self->session)));
  if (display && vm_display_widget_has_picture (display))
    {
      int width, height;
      double ratio = vm_display_widget_pixel_ratio (display) / gtk_widget_get_scale_factor (GTK_WIDGET (display));

      vm_display_widget_guest_size (display, &width, &height);
      /* Translators: pixels of the guest, and how big they are shown. */
      mode = ratio > 0 ? g_strdup_printf (_("%d×%d @ %.0f %%"), width, height, 100 / ratio) : NULL;
    }
  gtk_label_set_text (GTK_LABEL (self->mode), mode ? mode : "");
  /* Translators: %s is a key chord, such as "Ctrl+Alt+G". */
  g_autofree char *hint = release ? g_strdup_printf (_ ("%s releases keyboard and pointer"), release) : g_strdup ("");
  gtk_label_set_text (GTK_LABEL (self->grab), hint);
}
