/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EGL_EXT_platform_device and EGL_MESA_platform_surfaceless. */
#include "ui/egl-headless/egl.h"

#include <epoxy/gl.h>
#include <string.h>

#define DEVICES_MAX 32

#ifndef EGL_DRM_RENDER_NODE_FILE_EXT
#define EGL_DRM_RENDER_NODE_FILE_EXT 0x3377
#endif

/* The display of a device with a render node, of NODE if that is said. */
static EGLDisplay
device_display (const char *node)
{
  EGLDeviceEXT devices[DEVICES_MAX];
  EGLint n = 0;

  if (!epoxy_has_egl_extension (EGL_NO_DISPLAY, "EGL_EXT_device_base")
      && !epoxy_has_egl_extension (EGL_NO_DISPLAY, "EGL_EXT_device_enumeration"))
    return EGL_NO_DISPLAY;
  if (!eglQueryDevicesEXT (DEVICES_MAX, devices, &n))
    return EGL_NO_DISPLAY;
  for (EGLint i = 0; i < n; i++)
    {
      const char *extensions = eglQueryDeviceStringEXT (devices[i], EGL_EXTENSIONS);
      const char *path = extensions && strstr (extensions, "EGL_EXT_device_drm_render_node")
                             ? eglQueryDeviceStringEXT (devices[i], EGL_DRM_RENDER_NODE_FILE_EXT)
                             : NULL;
      if (path && (!node || !strcmp (path, node)))
        return eglGetPlatformDisplayEXT (EGL_PLATFORM_DEVICE_EXT, devices[i], NULL);
    }
  return EGL_NO_DISPLAY;
}

static bool
make_context (Egl *egl, GError **error)
{
  static const EGLint config_wanted[]
      = { EGL_SURFACE_TYPE, EGL_PBUFFER_BIT, EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT, EGL_NONE };
  static const EGLint context_wanted[] = { EGL_CONTEXT_OPENGL_PROFILE_MASK_KHR,
                                           EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT_KHR,
                                           EGL_CONTEXT_MAJOR_VERSION_KHR,
                                           3,
                                           EGL_CONTEXT_MINOR_VERSION_KHR,
                                           2,
                                           EGL_NONE };
  EGLConfig config;
  EGLint n = 0;

  if (!eglBindAPI (EGL_OPENGL_API) || !eglChooseConfig (egl->display, config_wanted, &config, 1, &n) || !n)
    return vm_fail (error, "egl: the driver has no OpenGL");
  egl->context = eglCreateContext (egl->display, config, EGL_NO_CONTEXT, context_wanted);
  if (egl->context == EGL_NO_CONTEXT)
    return vm_fail (error, "egl: no OpenGL 3.2 context can be made (error %#x)", (unsigned) eglGetError ());
  if (!eglMakeCurrent (egl->display, EGL_NO_SURFACE, EGL_NO_SURFACE, egl->context))
    return vm_fail (error, "egl: the driver draws on surfaces only (error %#x)", (unsigned) eglGetError ());
  eglMakeCurrent (egl->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
  return true;
}

bool
vm_egl_open (Egl *egl, const char *node, GError **error)
{
  *egl = (Egl){ EGL_NO_DISPLAY, EGL_NO_CONTEXT };
  if (!epoxy_has_egl ())
    return vm_fail (error, "egl: libEGL is not installed");
  if (node && !g_file_test (node, G_FILE_TEST_EXISTS))
    return vm_fail (error, "egl: the render node '%s' does not exist", node);
  egl->display = device_display (node);
  if (egl->display == EGL_NO_DISPLAY && node)
    return vm_fail (error, "egl: '%s' is not a render node that a driver here knows", node);
  if (egl->display == EGL_NO_DISPLAY && epoxy_has_egl_extension (EGL_NO_DISPLAY, "EGL_MESA_platform_surfaceless"))
    egl->display = eglGetPlatformDisplayEXT (EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
  if (egl->display == EGL_NO_DISPLAY || !eglInitialize (egl->display, NULL, NULL))
    {
      egl->display = EGL_NO_DISPLAY;
      return vm_fail (error, "egl: no render node is available, and no software renderer");
    }
  if (make_context (egl, error))
    return true;
  vm_egl_close (egl);
  return false;
}

void
vm_egl_close (Egl *egl)
{
  if (egl->display == EGL_NO_DISPLAY)
    return;
  if (egl->context != EGL_NO_CONTEXT)
    eglDestroyContext (egl->display, egl->context);
  eglTerminate (egl->display);
  *egl = (Egl){ EGL_NO_DISPLAY, EGL_NO_CONTEXT };
}
