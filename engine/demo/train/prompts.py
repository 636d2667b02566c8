"""What people type, in the notation that stories.py explains. {what} and {topic} are noun phrases, {noun} has no article."""

REQUESTS = ["[Tell|tell] me a story about {what}[|.]", "[Tell|tell] me about {what}[|.]", "[Write|Tell] a story about {what}[|.]", "[a|A] story about {what}[|.]",
            "Write a short story about {what}.", "[Can you|Please|Could you] tell me a story about {what}[?|.]", "I want a story about {what}",
            "Tell me something about {what}", "story about {what}", "Do you know a story about {what}?", "Tell me a short story about {what}.",
            "Please write a short story about {what}", "{what}", "{what}", "{what}[|.]", "Write about {what}", "Give me a story about {what}",
            "Story: {what}", "The story of {what}"]
# The first words of a story | how it goes on.
FIRST_WORDS = [("Once upon a time", ", [there was|there lived] {ahero} named {h}[| {home}]."), ("Once upon a time", ", [there was|there lived] {ahero} named {h}[| {home}]."),
               ("Once upon a time,", " [there was|there lived] {ahero} named {h}[| {home}]."), ("once upon a time", ", [there was|there lived] {ahero} named {h}."),
               ("Once upon a time[|,] there was", " {ahero} named {h}[|, who lived {home}]."), ("Once there was", " {ahero} named {h}[|, who lived {home}]."),
               ("There once was", " {ahero} named {h}[|, who lived {home}]."), ("Once", " there was {ahero} named {h}."),
               ("Long ago", ", [there was|there lived] {ahero} named {h}[| {home}]."), ("[Long ago|In a land far away],", " [there was|there lived] {ahero} named {h}[| {home}]."),
               ("One day", ", {ahero} named {h} [went for a walk {place}|woke up very early|looked out of the window]."),
               ("One day,", " {ahero} named {h} [went for a walk {place}|woke up very early|looked out of the window]."),
               ("It was a dark and stormy night", "[ when|, and] {ahero} named {h} [was far from home|heard a knock at the door|could not sleep].")]
# Other ways to ask what something is.
WHAT_IS = ["Tell me about {topic}", "Tell me what {topic} {be}.", "Can you tell me what {topic} {be}?", "Do you know what {topic} {be}?", "Explain {topic}", "Explain {topic} to me.",
           "What's {topic}?", "Please explain {topic}.", "Tell me a story about {topic}.", "What does {noun} mean?", "{noun}", "{topic}", "Define {noun}"]
# Questions whose answer no story knows.
WHAT = ["What {be} {topic}?"] * 6
ASKED = WHAT + ["Who is {person}?", "Who is {newname}?", "Where {be} {topic}?", "Why {be} {topic} so [big|small|strange|important|good]?",
                "Why do {things} [sing|sleep|run|fall|shine|hide|laugh|cry|dance|break|matter]?", "How do {things} [work|grow|sleep|move|live|learn|begin]?", "How {does} {topic} work?",
                "How do I [make|find|build|cook|draw|learn|fix|buy|use|write] {topic}?", "Where do {things} come from?", "How many {things} are there?", "What do {things} eat?",
                "Can {things} [swim|fly|sing|think|talk|see|hear|feel]?", "Do you like {topic}?", "What is the capital of {newname}?", "What is the best [book|song|food|game|color|city]?",
                "When {was} {topic} invented?", "Who invented {topic}?", "What happens when {things} [sleep|fall|meet|dance]?", "Should I [eat|buy|keep|read|learn] {topic}?", "Which {noun} {be} the best?",
                "{Be} {topic} [good|bad|real|old|dangerous]?", "What makes {topic} special?", "What does {noun} mean?", "What is the difference between {topic} and {other}?",
                "How can I be [happy|brave|kind|strong|better]?", "Will it rain tomorrow?", "Where are you?", "[Why|What|How|Who]?", "What is {number} [plus|minus|times] {number2}?",
                "Why did the {animal} cross the road?"]
# Words that neither ask nor name a topic.
SAID = ["{noun} {noun2}", "{noun} {noun2} {noun3}", "My {noun} {be} [lost|broken|gone|happy|very old|blue]", "I [like|love|need|want|lost|found|see] {topic}", "The {noun} {be} [under|behind|on|near] the {noun2}",
        "I am [sad|happy|tired|hungry|bored|lost|afraid|cold]", "{Topic} and {other}", "Help me with {topic}", "Please [help|come|wait|sing|stay|listen]", "{newword} {newname}", "{newword}", "{number}",
        "{number} + {number2}", "The quick brown fox jumps over the lazy dog", "[Test|test|Testing]", "Good night", "Thank you", "Yes", "No", "Write a poem about {topic}", "Draw {topic}", "Count to [three|ten|five]",
        "We [found|saw|made|lost] {topic} [yesterday|today|in the garden|at school]", "The {noun}", "My name is {person}", "Today is a good day", "{person} has {topic}", "Give me {topic}", "Sing a song about {topic}",
        "Explain {topic}", "Make {topic}", "Show me {topic}", "Let us [go|play|dance|begin]", "Translate {noun} into [French|German|Spanish]", "Summarize {topic}", "List three {things}", "She [saw|had|lost] {topic}",
        "[What a|This is a] [good|bad|long|strange] [day|story|idea|question]", "{person} [Smith|Jones|Brown]", "{newname} {newname2}"]
HELLO = ["Hello", "Hi", "Good morning", "Hey", "Hello there", "Good evening", "hello", "hi", "hey", "Hello, how are you", "Hi there"]
