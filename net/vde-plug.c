/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The module of the VDE back end: libvdeplug. */
#include "net/vde.h"

#include <fcntl.h>
#include <libvdeplug.h>
#include <sys/socket.h>

static void *
plug_open (const char *switch_url, unsigned port, const char *group, unsigned mode)
{
  struct vde_open_args args = { (int) port, (char *) group, mode };
  VDECONN *plug = vde_open ((char *) switch_url, (char *) "vitrine", &args);

  /* What is asked for with each call not all kinds of switches heed. */
  if (plug)
    fcntl (vde_datafd (plug), F_SETFL, fcntl (vde_datafd (plug), F_GETFL) | O_NONBLOCK);
  return plug;
}

static ssize_t
plug_receive (void *plug, void *frame, size_t size)
{
  return vde_recv (plug, frame, size, MSG_DONTWAIT);
}

static ssize_t
plug_send (void *plug, const void *frame, size_t len)
{
  return vde_send (plug, frame, len, MSG_DONTWAIT);
}

static int
plug_data_fd (void *plug)
{
  return vde_datafd (plug);
}

static int
plug_control_fd (void *plug)
{
  return vde_ctlfd (plug);
}

static void
plug_close (void *plug)
{
  vde_close (plug);
}

const VmVdeApi vm_vde_plug = {
  .open = plug_open,
  .receive = plug_receive,
  .send = plug_send,
  .data_fd = plug_data_fd,
  .control_fd = plug_control_fd,
  .close = plug_close,
};
