/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The picture as a textured rectangle, the cursor as another on top. */
#include "ui/gtk/gl-painter.h"

#include <epoxy/gl.h>
#include <gio/gio.h>

#include "engine/base/base.h"

struct VmGlPainter {
  GLuint program, vertex_array, texture, cursor_texture;
  GLint  rect_uniform, brightness_uniform;
  GLint  max_size;
  int    width, height;
};

/* The strip's corners come from the vertex number; RECT is x, y, width, height with y downwards, in clip space. */
static const char vertex_source[] =
  "uniform vec4 rect;\n"
  "out vec2 place;\n"
  "void main () {\n"
  "  place = vec2 (gl_VertexID & 1, gl_VertexID >> 1);\n"
  "  gl_Position = vec4 (rect.xy + place * rect.zw, 0.0, 1.0);\n"
  "}\n";

/* Memory holds blue first and the fourth byte is nothing for a picture, alpha for a cursor. */
static const char fragment_source[] =
  "uniform sampler2D picture;\n"
  "uniform vec2 brightness;\n" /* and the least alpha */
  "in vec2 place;\n"
  "out vec4 color;\n"
  "void main () {\n"
  "  vec4 texel = texture (picture, place);\n"
  "  color = vec4 (texel.bgr * brightness.x, max (texel.a, brightness.y));\n"
  "}\n";

static GLuint
painter_compile (GLenum kind, bool es, const char *source, GError **error)
{
  const char *sources[] = {
    es ? "#version 300 es\nprecision highp float;\n" : "#version 150\n",
    source,
  };
  GLuint shader = glCreateShader (kind);
  GLint ok = 0;

  glShaderSource (shader, G_N_ELEMENTS (sources), sources, NULL);
  glCompileShader (shader);
  glGetShaderiv (shader, GL_COMPILE_STATUS, &ok);
  if (ok)
    return shader;

  char log[256] = "";
  glGetShaderInfoLog (shader, sizeof log, NULL, log);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "shader: %s", g_strchomp (log));
  glDeleteShader (shader);
  return 0;
}

static GLuint
painter_link (bool es, GError **error)
{
  GLuint vertex = painter_compile (GL_VERTEX_SHADER, es, vertex_source, error);
  GLuint fragment = vertex ? painter_compile (GL_FRAGMENT_SHADER, es, fragment_source, error) : 0;
  GLuint program = 0;

  if (fragment)
    {
      GLint ok = 0;

      program = glCreateProgram ();
      glAttachShader (program, vertex);
      glAttachShader (program, fragment);
      glLinkProgram (program);
      glGetProgramiv (program, GL_LINK_STATUS, &ok);
      if (!ok)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "shaders do not link");
          glDeleteProgram (program);
          program = 0;
        }
    }
  glDeleteShader (vertex);
  glDeleteShader (fragment);
  return program;
}

static GLuint
painter_texture (void)
{
  GLuint texture;

  glGenTextures (1, &texture);
  glBindTexture (GL_TEXTURE_2D, texture);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_WRAP_S, GL_CLAMP_TO_EDGE);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_WRAP_T, GL_CLAMP_TO_EDGE);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
  return texture;
}

VmGlPainter *
vm_gl_painter_new (bool es, GError **error)
{
  GLuint program = painter_link (es, error);

  if (!program)
    return NULL;

  VmGlPainter *painter = g_new0 (VmGlPainter, 1);
  painter->program = program;
  painter->rect_uniform = glGetUniformLocation (program, "rect");
  painter->brightness_uniform = glGetUniformLocation (program, "brightness");
  glGenVertexArrays (1, &painter->vertex_array);
  painter->texture = painter_texture ();
  painter->cursor_texture = painter_texture ();
  glGetIntegerv (GL_MAX_TEXTURE_SIZE, &painter->max_size);
  return painter;
}

void
vm_gl_painter_free (VmGlPainter *painter)
{
  glDeleteTextures (1, &painter->texture);
  glDeleteTextures (1, &painter->cursor_texture);
  glDeleteVertexArrays (1, &painter->vertex_array);
  glDeleteProgram (painter->program);
  g_free (painter);
}

bool
vm_gl_painter_resize (VmGlPainter *painter, int width, int height)
{
  if (painter->width == width && painter->height == height)
    return true;
  if (width > painter->max_size || height > painter->max_size)
    return false;
  painter->width = width;
  painter->height = height;
  glBindTexture (GL_TEXTURE_2D, painter->texture);
  glTexImage2D (GL_TEXTURE_2D, 0, GL_RGBA8, width, height, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
  return true;
}

void
vm_gl_painter_upload (VmGlPainter *painter, const VmSurface *surface, const VmRect *rects, unsigned n)
{
  glBindTexture (GL_TEXTURE_2D, painter->texture);
  glPixelStorei (GL_UNPACK_ROW_LENGTH, surface->stride / 4);
  glPixelStorei (GL_UNPACK_ALIGNMENT, 4);
  for (unsigned i = 0; i < n; i++)
    glTexSubImage2D (GL_TEXTURE_2D, 0, rects[i].x, rects[i].y, rects[i].width, rects[i].height, GL_RGBA,
                     GL_UNSIGNED_BYTE, surface->data + (size_t) rects[i].y * surface->stride + rects[i].x * 4);
  glPixelStorei (GL_UNPACK_ROW_LENGTH, 0);
}

static void
painter_rectangle (VmGlPainter *painter, const VmGuestView *view, double x, double y, double width, double height)
{
  glUniform4f (painter->rect_uniform, 2 * x / view->area_width - 1, 1 - 2 * y / view->area_height,
               2 * width / view->area_width, -2 * height / view->area_height);
  glDrawArrays (GL_TRIANGLE_STRIP, 0, 4);
}

static void
painter_draw_cursor (VmGlPainter *painter, const VmGuestView *view, const VmCursor *cursor, int x, int y)
{
  double scale = vm_guest_view_scale (view);

  glBindTexture (GL_TEXTURE_2D, painter->cursor_texture);
  glTexImage2D (GL_TEXTURE_2D, 0, GL_RGBA8, cursor->width, cursor->height, 0, GL_RGBA, GL_UNSIGNED_BYTE,
                cursor->data);
  glEnable (GL_BLEND);
  glBlendFunc (GL_ONE, GL_ONE_MINUS_SRC_ALPHA);
  glUniform2f (painter->brightness_uniform, 1, 0);
  painter_rectangle (painter, view, view->rect.x + (x - cursor->hot_x) * scale,
                     view->rect.y + (y - cursor->hot_y) * scale, cursor->width * scale, cursor->height * scale);
  glDisable (GL_BLEND);
}

void
vm_gl_painter_draw (VmGlPainter *painter, const VmGuestView *view, float brightness, const VmCursor *cursor,
                    int x, int y)
{
  double scale = vm_guest_view_scale (view);

  glClearColor (0, 0, 0, 1);
  glClear (GL_COLOR_BUFFER_BIT);
  if (!painter->width || !view->rect.width)
    return;

  glUseProgram (painter->program);
  glBindVertexArray (painter->vertex_array);
  glActiveTexture (GL_TEXTURE0);
  glBindTexture (GL_TEXTURE_2D, painter->texture);
  bool exact = vm_guest_view_is_exact (view);
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, exact ? GL_NEAREST : GL_LINEAR);
  /* Under one half a linear filter would drop whole lines of text. */
  glTexParameteri (GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER,
                   exact ? GL_NEAREST : scale < 0.5 ? GL_LINEAR_MIPMAP_LINEAR : GL_LINEAR);
  if (scale < 0.5)
    glGenerateMipmap (GL_TEXTURE_2D);
  glUniform2f (painter->brightness_uniform, brightness, 1);
  painter_rectangle (painter, view, view->rect.x, view->rect.y, view->rect.width, view->rect.height);
  if (cursor)
    painter_draw_cursor (painter, view, cursor, x, y);
  glBindVertexArray (0);
  glUseProgram (0);
}
