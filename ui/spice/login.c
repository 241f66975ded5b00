/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections that have not logged in yet. The library lets them wait for ever, as many as come; here each has a while,
 * and when there are too many the one that has waited longest goes. */
#include "ui/spice/server-private.h"

#include <sys/socket.h>

#define LOGIN_SECONDS 30
#define WAITING_MAX 64 /* a viewer opens some ten at a time */

typedef struct Login
{
  SpiceHere *here;
  const SpiceChannelEventInfo *info; /* the library's own, the same from CONNECTED to DISCONNECTED */
  int fd;                            /* -1: not known yet */
  GSource *timer;
} Login;

static void
login_free (gpointer data)
{
  Login *login = data;

  vm_source_clear (&login->timer);
  g_free (login);
}

/* The library finds an end where it waits for more, and forgets the connection. */
static void
end_longest (SpiceHere *here)
{
  const Login *login = g_ptr_array_index (here->logins, 0);

  if (login->fd >= 0)
    shutdown (login->fd, SHUT_RDWR);
  g_ptr_array_remove_index (here->logins, 0);
}

static gboolean
on_late (gpointer data)
{
  const Login *login = data;
  SpiceHere *here = login->here;

  while (g_ptr_array_index (here->logins, 0) != login)
    end_longest (here);
  end_longest (here);
  return G_SOURCE_REMOVE;
}

void
spice_login_began (SpiceHere *here, const SpiceChannelEventInfo *info)
{
  Login *login = g_new0 (Login, 1);

  if (here->logins->len == WAITING_MAX)
    end_longest (here);
  login->here = here;
  login->info = info;
  login->fd = -1;
  login->timer = g_timeout_source_new_seconds (LOGIN_SECONDS);
  g_source_set_callback (login->timer, on_late, login, NULL);
  g_source_attach (login->timer, vm_loop_context (here->spice->loop));
  g_ptr_array_add (here->logins, login);
}

/* What the library waits for first after it has told of a connection is that connection's first word. */
void
spice_login_waits (SpiceHere *here, int fd)
{
  Login *login = here->logins->len ? g_ptr_array_index (here->logins, here->logins->len - 1) : NULL;

  if (login && login->fd < 0)
    login->fd = fd;
}

void
spice_login_ended (SpiceHere *here, const SpiceChannelEventInfo *info)
{
  for (guint i = 0; i < here->logins->len; i++)
    if (((const Login *) g_ptr_array_index (here->logins, i))->info == info)
      {
        g_ptr_array_remove_index (here->logins, i);
        return;
      }
}

void
spice_logins_start (SpiceHere *here)
{
  here->logins = g_ptr_array_new_with_free_func (login_free);
}

/* Those who wait are told that nobody comes. */
void
spice_logins_stop (SpiceHere *here)
{
  while (here->logins->len)
    end_longest (here);
  g_ptr_array_unref (here->logins);
}
