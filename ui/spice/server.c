/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module "vitrine-spice": a server of libspice-server for one machine. */
#include "ui/spice/server-private.h"

#include "engine/base/log.h"

#include <gmodule.h>

#define SASL_SERVICE "qemu" /* the one that administrators have files for */
#define WARNINGS_MAX 100

extern G_MODULE_EXPORT const SpiceServerModule vm_spice_module;

/* --- what the library has to say -----------------------------------------------------------------------------------
 */

static void
on_log (const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer opaque)
{
  SpiceHere *here = opaque;

  if (!(level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING)))
    return;
  g_mutex_lock (&here->mutex);
  bool starting = here->starting;
  if (starting && !here->first_warning)
    { /* "../server/reds.cpp:2839:reds_init_ssl: Could not ..." */
      const char *text = strstr (message, ": ");
      here->first_warning = g_strdup (text ? text + 2 : message);
    }
  g_mutex_unlock (&here->mutex);
  bool last = level & (G_LOG_LEVEL_ERROR | G_LOG_FLAG_FATAL);
  if (starting && !last)
    return;
  int n = last ? 0 : g_atomic_int_add (&here->warnings, 1); /* clients can make it say a lot */
  if (n < WARNINGS_MAX)
    vm_report_warning ("SPICE: %s", message);
  else if (n == WARNINGS_MAX)
    vm_report_warning ("SPICE: more of the kind is not shown");
}

static bool
fail_to_start (SpiceHere *here, GError **error)
{
  g_mutex_lock (&here->mutex);
  vm_fail (error, "failed to initialize spice server%s%s", here->first_warning ? ": " : "",
           here->first_warning ? here->first_warning : "");
  g_mutex_unlock (&here->mutex);
  return false;
}

/* --- settings ------------------------------------------------------------------------------------------------------
 */

static bool
set_channels (SpiceHere *here, const SpiceOptions *o, GError **error)
{
  for (guint i = 0; i < o->list->pairs->len; i++)
    {
      const VmKeyValue *pair = g_ptr_array_index (o->list->pairs, i);
      bool tls = !strcmp (pair->key, "tls-channel");
      if (!tls && strcmp (pair->key, "plaintext-channel") != 0)
        continue;
      const char *name = strcmp (pair->value, "default") != 0 ? pair->value : NULL;
      if (spice_server_set_channel_security (here->server, name,
                                             tls ? SPICE_CHANNEL_SECURITY_SSL : SPICE_CHANNEL_SECURITY_NONE)
          != 0)
        return vm_fail (error, "spice: failed to set channel security for %s", pair->value);
    }
  return true;
}

static void
set_address (SpiceHere *here, const SpiceOptions *o)
{
  int flags = (o->ipv4 ? SPICE_ADDR_FLAG_IPV4_ONLY : 0) | (o->ipv6 ? SPICE_ADDR_FLAG_IPV6_ONLY : 0)
              | (o->path ? SPICE_ADDR_FLAG_UNIX_ONLY : 0);

  spice_server_set_addr (here->server, o->addr ? o->addr : "", flags);
  if (o->port)
    spice_server_set_port (here->server, o->port);
  if (o->tls_port)
    spice_server_set_tls (here->server, o->tls_port, o->cacert, o->cert, o->key, o->key_password, o->dh_key,
                          o->ciphers);
}

static bool
set_access (SpiceHere *here, const SpiceOptions *o, GError **error)
{
  if (o->disable_ticketing && !o->sasl)
    spice_server_set_noauth (here->server);
  if (o->sasl
      && (spice_server_set_sasl_appname (here->server, SASL_SERVICE) != 0
          || spice_server_set_sasl (here->server, 1) != 0))
    return vm_fail (error, "spice: failed to enable sasl");
  if (o->secret && spice_server_set_ticket (here->server, o->secret, 0, 0, 0) != 0)
    return vm_fail (error, "spice: the password is longer than 60 characters");
  spice_server_set_agent_copypaste (here->server, !o->disable_copy_paste);
  spice_server_set_agent_file_xfer (here->server, !o->disable_agent_file_xfer);
  return true;
}

static bool
set_behaviour (SpiceHere *here, const SpiceOptions *o, GError **error)
{
  SpiceServer *s = here->server;

  spice_server_set_image_compression (s, (SpiceImageCompression) o->image_compression);
  spice_server_set_jpeg_compression (s, (spice_wan_compression_t) o->jpeg);
  spice_server_set_zlib_glz_compression (s, (spice_wan_compression_t) o->zlib_glz);
  spice_server_set_streaming_video (s, o->streaming);
  spice_server_set_agent_mouse (s, o->agent_mouse);
  spice_server_set_playback_compression (s, o->playback_compression);
  spice_server_set_seamless_migration (s, o->seamless_migration);
  return !o->video_codecs || spice_server_set_video_codecs (s, o->video_codecs) == 0
         || vm_fail (error, "spice: invalid video-codecs: %s", o->video_codecs);
}

static void
set_names (SpiceHere *here)
{
  const VmSettings *s = here->spice->machine->settings;

  spice_server_set_name (here->server, s->name ? s->name : "Vitrine");
  if (s->uuid_given)
    spice_server_set_uuid (here->server, s->uuid);
}

/* --- consoles ------------------------------------------------------------------------------------------------------
 */

static SpiceScreen *
find_screen (SpiceHere *here, VmConsole *console)
{
  for (guint i = 0; i < here->screens->len; i++)
    if (spice_screen_console (g_ptr_array_index (here->screens, i)) == console)
      return g_ptr_array_index (here->screens, i);
  return NULL;
}

/* A number that no screen has: the library's channels go by it. */
static int
free_id (SpiceHere *here)
{
  int id = 0;

  for (guint i = 0; i < here->screens->len; i++)
    if (spice_screen_id (g_ptr_array_index (here->screens, i)) == id)
      {
        id++;
        i = -1u;
      }
  return id;
}

/* Text consoles would be one more window each, which nobody asked for. */
static bool
is_wanted (SpiceHere *here, VmConsole *console)
{
  const SpiceOptions *o = &here->spice->options;

  if (vm_console_is_text (console))
    return false;
  return !o->display || vm_display_find_console (here->spice->machine->env.display, o->display, o->head) == console;
}

static void
sync_screens (SpiceHere *here)
{
  VmDisplay *display = here->spice->machine->env.display;

  for (guint i = here->screens->len; i-- > 0;)
    {
      SpiceScreen *screen = g_ptr_array_index (here->screens, i);
      VmConsole *console = spice_screen_console (screen);
      if (vm_display_console (display, vm_console_index (console)) != console)
        {
          g_ptr_array_remove_index (here->screens, i);
          spice_screen_free (screen);
        }
    }
  for (unsigned i = 0; i < vm_display_n_consoles (display); i++)
    {
      VmConsole *console = vm_display_ref_console (display, i);
      SpiceScreen *screen = NULL;
      if (console && is_wanted (here, console) && !find_screen (here, console))
        screen = spice_screen_new (here, console, free_id (here));
      if (screen)
        g_ptr_array_add (here->screens, screen);
      if (console)
        vm_console_unref (console);
    }
}

static void
do_consoles (void *opaque)
{
  SpiceHere *here = ((VmSpice *) opaque)->server;

  if (!here)
    return;
  g_atomic_int_set (&here->consoles_posted, 0);
  sync_screens (here);
}

static void
on_consoles (VmListener *listener)
{
  SpiceHere *here = VM_CONTAINER_OF (listener, SpiceHere, consoles);

  if (g_atomic_int_compare_and_exchange (&here->consoles_posted, 0, 1))
    vm_loop_post (here->spice->loop, do_consoles, here->spice);
}

static const VmListenerOps console_ops = { .consoles_changed = on_consoles };

/* --- migration -----------------------------------------------------------------------------------------------------
 */

static void
migrate_connected (SpiceMigrateInstance *sin)
{
  VM_CONTAINER_OF (sin, SpiceHere, migrate)->migrate_ready = true;
}

static void
migrate_ended (SpiceMigrateInstance *sin)
{
  SpiceHere *here = VM_CONTAINER_OF (sin, SpiceHere, migrate);

  g_atomic_int_set (&here->migrating, 0);
  here->spice->migrated = true;
  vm_machine_emit (here->spice->machine, "SPICE_MIGRATE_COMPLETED", NULL);
}

static const SpiceMigrateInterface migrate_interface = {
  .base = { .type = SPICE_INTERFACE_MIGRATION,
            .description = "migration",
            .major_version = SPICE_INTERFACE_MIGRATION_MAJOR,
            .minor_version = SPICE_INTERFACE_MIGRATION_MINOR },
  .migrate_connect_complete = migrate_connected,
  .migrate_end_complete = migrate_ended,
};

static bool
migrate_to (VmSpice *spice, const char *host, int port, int tls_port, const char *subject)
{
  SpiceHere *here = spice->server;

  here->migrate_ready = false;
  g_atomic_int_set (&here->migrating, 1);
  return spice_server_migrate_connect (here->server, host, port, tls_port, subject) == 0;
}

static void
migrate_start (VmSpice *spice)
{
  SpiceHere *here = spice->server;

  spice_server_vm_stop (here->server);
  spice_server_migrate_start (here->server);
}

static void
migrate_end (VmSpice *spice, bool done)
{
  SpiceHere *here = spice->server;

  spice_server_migrate_end (here->server, done);
  if (done)
    return;
  g_atomic_int_set (&here->migrating, 0);
  spice_server_vm_start (here->server);
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

static void
here_free (SpiceHere *here)
{
  g_log_remove_handler ("Spice", here->log_handler);
  g_ptr_array_unref (here->screens);
  g_mutex_clear (&here->mutex);
  g_free (here->first_warning);
  g_free (here);
}

static void
stop (VmSpice *spice)
{
  SpiceHere *here = spice->server;

  here->stopping = true;
  vm_listener_remove (spice->machine->env.display, &here->consoles);
  spice_input_stop (here);
  spice_sound_stop (here);
  /* Channels that end with them still count those who look. */
  while (here->screens->len)
    spice_screen_free (g_ptr_array_steal_index (here->screens, here->screens->len - 1));
  spice_server_destroy (here->server);
  spice_core_leave ();
  spice_gate_stop (here);
  spice_logins_stop (here);
  spice_forget_channels (spice);
  spice->server = NULL;
  here_free (here);
}

static bool
configure (SpiceHere *here, GError **error)
{
  const SpiceOptions *o = &here->spice->options;

  set_address (here, o);
  set_names (here);
  return set_access (here, o, error) && set_behaviour (here, o, error) && set_channels (here, o, error);
}

static bool
start (VmSpice *spice, GError **error)
{
  SpiceHere *here = g_new0 (SpiceHere, 1);
  const SpiceOptions *o = &spice->options;
  VmDisplay *display = spice->machine->env.display;

  if (o->display && !vm_display_find_console (display, o->display, o->head))
    {
      g_free (here);
      return vm_fail (error, o->head ? "Device '%s' has no head %u" : "Device '%s' not found", o->display, o->head);
    }
  here->spice = spice;
  here->screens = g_ptr_array_new ();
  spice_logins_start (here);
  here->starting = true;
  g_snprintf (here->version, sizeof here->version, "%d.%d.%d", SPICE_SERVER_VERSION >> 16,
              SPICE_SERVER_VERSION >> 8 & 0xff, SPICE_SERVER_VERSION & 0xff);
  g_mutex_init (&here->mutex);
  here->log_handler
      = g_log_set_handler ("Spice", G_LOG_LEVEL_MASK | G_LOG_FLAG_FATAL | G_LOG_FLAG_RECURSION, on_log, here);
  here->server = spice_server_new ();
  spice_core_enter (here);
  if (!configure (here, error)
      || (spice_server_init (here->server, (SpiceCoreInterface *) spice_core ()) != 0 && !fail_to_start (here, error))
      || !spice_gate_start (here, error))
    {
      spice_server_destroy (here->server);
      spice_core_leave ();
      spice_gate_stop (here);
      spice_logins_stop (here);
      here_free (here);
      return false;
    }
  spice->server = here;
  here->migrate.base.sif = &migrate_interface.base;
  spice_server_add_interface (here->server, &here->migrate.base);
  sync_screens (here);
  here->consoles.ops = &console_ops;
  vm_listener_add (display, &here->consoles, NULL);
  if (!spice_input_start (here, error))
    {
      stop (spice);
      return false;
    }
  spice_server_vm_start (here->server); /* what a stopped machine shows can be seen, too */
  g_mutex_lock (&here->mutex);
  here->starting = false;
  g_mutex_unlock (&here->mutex);
  return true;
}

static bool
set_ticket (VmSpice *spice, const char *password, int seconds, bool fail, bool disconnect)
{
  SpiceHere *here = spice->server;

  return spice_server_set_ticket (here->server, password, seconds, fail, disconnect) == 0;
}

static bool
add_client (VmSpice *spice, int fd, bool skip_auth, bool tls)
{
  SpiceHere *here = spice->server;

  return spice_gate_admit (here, fd, tls, skip_auth);
}

static bool
is_server_mouse (VmSpice *spice)
{
  return spice_server_is_server_mouse (((SpiceHere *) spice->server)->server);
}

static const char *
version (VmSpice *spice)
{
  return ((SpiceHere *) spice->server)->version;
}

const SpiceServerModule vm_spice_module = {
  .sound = spice_sound_class,
  .start = start,
  .stop = stop,
  .pipe_added = spice_pipe_added,
  .pipe_removed = spice_pipe_removed,
  .pipe_changed = spice_pipe_changed,
  .set_ticket = set_ticket,
  .add_client = add_client,
  .is_server_mouse = is_server_mouse,
  .version = version,
  .leds_changed = spice_leds_changed,
  .pointer_changed = spice_pointer_changed,
  .migrate_to = migrate_to,
  .migrate_start = migrate_start,
  .migrate_end = migrate_end,
};
