"""What the embedded stand-in for Claude has to say: whole, written replies, by topic."""

from __future__ import annotations

# A topic is found by words that a question or a persona's description contains; each reply stands by itself.
TOPICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "stars": (
        ("star", "sky", "night", "moon", "planet", "jupiter", "comet", "galax", "telescope", "astronom", "universe", "space"),
        (
            "When I look at the night sky, the first thing I see is time. The light of each star set out long ago, so no "
            "two of them show me the same year.",
            "Start with the moon, and with plain binoculars. Along the line between light and shadow you can see mountains "
            "throw their shadows across the plains.",
            "Jupiter is my favourite guest. Four of its moons are bright enough for a small telescope, and from one night "
            "to the next they have changed places.",
            "People expect the sky to be still, but it never is. Stay for an hour, and you will see it turn around a single "
            "star that hardly moves at all.",
            "A comet is mostly dirty ice on a very long journey. It only grows its tail when the sun warms it, and the tail "
            "always points away from the sun, even on the way out.",
            "Galaxies look like smudges until you know what they are. Then you realise that one small smudge holds more "
            "suns than there are people who ever lived.",
        ),
    ),
    "orbit": (
        ("orbit", "astronaut", "rocket", "spaceship", "weightless", "mars"),
        (
            "Life in orbit is mostly small chores, done very carefully. You tie down your spoon, your book and at night "
            "yourself, because nothing stays where you put it.",
            "You see sixteen sunrises a day up there, and you would think that one gets used to them. I am told that "
            "nobody ever does.",
            "The body is quicker than the mind about it. After three days your legs have forgotten how to walk, while your "
            "head still insists that there must be a floor.",
            "What surprises people most is the quiet work: filters, cables, lists. The view is the reward for an hour of "
            "cleaning vents.",
        ),
    ),
    "bread": (
        ("bread", "bak", "croissant", "dough", "flour", "cake", "pastry", "oven"),
        (
            "Good bread is flour, water, salt and patience, and the last of them is the one that people leave out. Give the "
            "dough a night in the cold, and half of the work is done while you sleep.",
            "Croissants are a matter of temperature. The butter has to bend without melting, so I work in the early morning, "
            "when the kitchen is still cool.",
            "Listen to a loaf when it comes out of the oven. The crust crackles as it cools; we bakers say that the bread "
            "is singing.",
            "If your bread is heavy, do not add more yeast. Wait longer, and fold the dough now and then instead of kneading it hard.",
            "The smell is honest advertising. A bakery that opens its door at six in the morning needs no other sign.",
        ),
    ),
    "cooking": (
        ("cook", "food", "eat", "recipe", "kitchen", "soup", "dinner", "taste", "restaurant"),
        (
            "Taste as you go, and add salt in small steps. Most dishes that seem to lack something lack either salt or a few "
            "drops of lemon.",
            "My best advice is to cook one dish ten times rather than ten dishes once. By the tenth time your hands know it, and "
            "you can talk to your guests.",
            "A soup forgives nearly everything. Begin with onions, slowly, until they are sweet; whatever comes after "
            "will taste of care.",
            "I judge a kitchen by its knives and its spoons. If those are good, the rest may be old and dented.",
        ),
    ),
    "music": (
        ("music", "song", "sing", "piano", "guitar", "violin", "melody", "concert", "band", "instrument"),
        (
            "Play slowly enough that you make no mistakes, and only then a little faster. It is dull advice, and it is the only "
            "one that has never failed me.",
            "A song stays with you because it leaves something out. The ear loves to complete what it is not quite given.",
            "The silence before the first note belongs to the piece. Take it; the audience will come with you.",
            "If you want to begin, choose an instrument you like the sound of when it is played badly. You will hear "
            "a good deal of that in the first year.",
        ),
    ),
    "travel": (
        ("travel", "journey", "trip", "country", "holiday", "vacation", "abroad", "train", "city", "visit"),
        (
            "I pack for half of the days and plan for half of the time. The best hours of every journey were those for "
            "which I had nothing in mind.",
            "Take the slow train once. You see the backs of houses, the gardens, the washing on the line, and you understand "
            "a place better than from its main square.",
            "Learn three words before you go: please, thank you, and delicious. They open more doors than a guidebook.",
            "When I am in a strange city I get up early and walk to a market. Before nine o'clock nobody performs for visitors.",
        ),
    ),
    "books": (
        ("book", "read", "novel", "story", "poem", "author", "library", "write", "writing"),
        (
            "I give a book fifty pages. If I would not miss anybody in it by then, I close it without regret.",
            "Read it aloud, just one page. You will hear at once whether the sentences were made for a voice or only for "
            "the eye.",
            "The books that changed me were seldom the ones I had been told to read. I found them on the shelf beside those.",
            "If you want to write, begin in the middle, with somebody who wants something. You can always explain the "
            "weather later.",
        ),
    ),
    "learning": (
        ("learn", "teach", "school", "study", "student", "language", "practice", "exam", "understand", "explain"),
        (
            "Explain it to somebody who does not know it, and you will find the exact place where your own understanding stops. "
            "That is where to work next.",
            "Twenty minutes a day beat three hours on a Sunday. What you meet again tomorrow is what you keep.",
            "Do not be afraid of the simple question. Everybody else in the room has it too, and will be grateful to you.",
            "Mistakes are quick teachers if you look at them the same day. After a week they have turned into habits.",
        ),
    ),
    "work": (
        ("work", "job", "career", "boss", "office", "business", "company", "startup", "project", "team"),
        (
            "Finish something small before you begin something large. A finished thing can be shown, and what can be shown "
            "gets better.",
            "I write down what I will not do this month. It is the shorter list, and it protects the longer one.",
            "When a team is stuck, it is rarely for lack of ideas. Usually two people mean different things by the same word.",
            "Ask what would have to be true for this to succeed. It is a kinder question than whether it will.",
        ),
    ),
    "people": (
        ("friend", "love", "family", "mother", "father", "child", "marri", "lonely", "relationship", "happy", "happiness"),
        (
            "I have come to think that friendship is mostly a matter of turning up. The grand gestures are rare; the Tuesday "
            "evenings are what holds.",
            "Say the kind thing while you think of it. It costs nothing, and people remember it for years.",
            "When somebody tells you their trouble, wait a little before you offer a solution. Most of the time they want "
            "company in it first.",
            "Happiness is shy, in my experience. It comes while you are busy with something that matters to you.",
        ),
    ),
    "nature": (
        ("garden", "tree", "forest", "sea", "ocean", "river", "mountain", "bird", "animal", "flower", "weather", "rain", "dog", "cat"),
        (
            "Sit still for ten minutes, and the place forgets that you are there. That is when the birds come back.",
            "I never trust a garden that is finished. The good ones always have a corner where something is being tried out.",
            "The sea teaches you to plan and then to change the plan. It has no interest in what you were hoping for.",
            "Rain is only bad weather for those who have to be somewhere. I like to stand under a tree and listen to it "
            "arriving leaf by leaf.",
        ),
    ),
    "technology": (
        ("computer", "software", "code", "program", "robot", "internet", "technology", "machine", "artificial", "backend", "phone"),
        (
            "A good machine disappears. You notice it on the first day and when it breaks, and never in between.",
            "Most programs are read far more often than they are written, so I write for the tired person who comes after me. "
            "Quite often that is me.",
            "Before you make something faster, measure it. I have been wrong about the slow part more often than right.",
            "Keep the first version small enough to throw away. You learn what you should have built by using it.",
        ),
    ),
    "sleep": (
        ("sleep", "dream", "tired", "health", "relax", "calm", "stress", "breathe", "walk", "sport", "run"),
        (
            "Leave the phone in another room, and let the last half hour of the day be boring. Sleep comes to those who stop "
            "waiting for it.",
            "I dream of houses with one room more than I remember. I always open that door, and I always wake up then.",
            "When my head is full, I walk without a destination for as long as it takes. The thoughts sort themselves by their "
            "own weight.",
            "Breathe out longer than you breathe in, five times. It sounds too simple to help, and it does help.",
        ),
    ),
}  # fmt: skip

# For questions about anything else.
GENERAL = (
    "Tell me a little more, and I can be of better use. What made you think of it today?",
    "I would begin with the part you can see and touch, and leave the theory for the evening.",
    "There are two honest answers to that, a short one and a long one. The short one is: it depends on what you want it for.",
    "I have changed my mind about this more than once, and I expect that I will again. At the moment I lean towards patience.",
    "What helps me is to ask who has done it before, and what they would do differently.",
    "If it were mine to decide, I would try it on a small scale this week. A small trial settles most long arguments.",
    "Some questions get better when you leave them alone overnight. This may be one of them.",
    "I like that you ask. Most people pass it by, because everybody around them seems to know already.",
    "It looks simple from outside, and it becomes simple again once you know it well. In between lies the interesting part.",
    "Write down what you expect before you look. Afterwards it is hard to remember that you were ever surprised.",
    "Let us take it in steps. What do you know for certain, what do you suspect, and what do you only hope?",
    "My rule is to spend the first hour understanding the problem and to be suspicious of anything I would have done in that hour.",
    "Whatever you choose, choose it so that you can still change it next month.",
    "The details matter here, so look twice. The second look is usually the one that pays.",
)  # fmt: skip

GREETINGS = ("Hello, good to see you.", "Hello! I am glad you are here.", "Hi there, come closer.", "Welcome.")
OPENINGS = ("Good question.", "Oh, gladly.", "Let me think.", "Ah, yes.", "With pleasure.", "Well, now.")
ENDINGS = ("What about you?", "Shall I go on?", "How do you see it?", "Does that help?")
