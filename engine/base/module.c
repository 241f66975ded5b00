/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Loading modules: the installed one, else that of the build folder this program was made in. */
#include "engine/base/module.h"

#include <gmodule.h>

#include "config.h"

static GModule *
open_module (const char *folder, const char *name)
{
  g_autofree char *file = g_strconcat (name, ".", G_MODULE_SUFFIX, NULL);
  g_autofree char *path = g_build_filename (folder, file, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS) ? g_module_open (path, G_MODULE_BIND_LOCAL) : NULL;
}

void *
vm_module_symbol (const char *folder, const char *name, const char *symbol, GError **error)
{
  g_autofree char *built = g_build_filename (VM_BUILDDIR, folder, NULL);
  GModule *module = open_module (VM_MODULEDIR, name);
  void *found = NULL;

  if (!module)
    module = open_module (built, name);
  if (!module)
    {
      vm_fail (error, "the module %s cannot be loaded: %s", name,
               g_module_error () ? g_module_error () : "it is not installed");
      return NULL;
    }
  g_module_make_resident (module); /* its library may have left threads or handlers behind */
  if (!g_module_symbol (module, symbol, &found))
    vm_fail (error, "the module %s is not of this program: %s", name, g_module_error ());
  return found;
}
