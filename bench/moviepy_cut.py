"""The cut of bench.film by MoviePy, as its users make it: python bench/moviepy_cut.py plan.json

Runs in an environment of its own: MoviePy 2.2 wants a Pillow older than ours. The plan: width, height, fps, font, clips
[[path, seconds]], captions [[text, from, until]] and target. Prints {"frames", "seconds"}.
"""

import json
import sys
import time

import numpy as np
from moviepy import CompositeVideoClip, ImageClip, VideoFileClip, concatenate_videoclips
from PIL import Image, ImageDraw, ImageFont

with open(sys.argv[1]) as file:
    plan = json.load(file)
began = time.perf_counter()
width, height = plan["width"], plan["height"]
pieces = []
for path, seconds in plan["clips"]:
    clip = VideoFileClip(path, audio=False).subclipped(0, seconds).resized(height=height)
    pieces.append(clip.cropped(width=width, x_center=clip.w // 2))
font = ImageFont.truetype(plan["font"], 60)
captions = []
for text, start, end in plan["captions"]:
    picture = Image.new("RGBA", (width, 200), (0, 0, 0, 0))
    ImageDraw.Draw(picture).text((60, 20), text, font=font, fill="white", stroke_width=4, stroke_fill="black")
    shown = ImageClip(np.asarray(picture), transparent=True).with_start(start).with_duration(end - start)
    captions.append(shown.with_position((0, int(height * 0.66))))
length = sum(seconds for _, seconds in plan["clips"])
whole = CompositeVideoClip([concatenate_videoclips(pieces), *captions]).with_duration(length)
whole.write_videofile(
    plan["target"], fps=plan["fps"], codec="libx264", preset="veryfast", audio=False, logger=None,
    ffmpeg_params=["-crf", "20", "-pix_fmt", "yuv420p"],
)  # fmt: skip
print(json.dumps({"frames": round(length * plan["fps"]), "seconds": time.perf_counter() - began}))
