"""The sentences of the stories, written for this model. stories.py explains the notation; its cast, the names."""

OPENINGS = [
    "Once upon a time, there was {ahero} named {h}.",
    "Once upon a time, there was {ahero} named {h}, who lived {home}.",
    "Once upon a time, {ahero} named {h} lived {home}.",
    "Once upon a time, {home}, there lived {ahero} named {h}.",
    "There once was {ahero} named {h}.",
    "{Home}, there lived {ahero} named {h}.",
    "Long ago, {ahero} named {h} lived {home}.",
    "{H} was {ahero} who lived {home}.",
    "{H} was {ahero}. {He} lived {home}.",
    "[In a land far away|Many years ago|Not so long ago], there lived {ahero} named {h}.",
]
STARTS = [  # other ways to begin, for prompts that are the first words of a story
    "The {adjective} {kind} was called {h}. {He} lived {home}.", "A {adjective} {kind} named {h} lived {home}.", "In the middle of the {time}, {ahero} named {h} woke up.",
    "There was {ahero} named {h}, who lived {home}.", "My friend {h} is {ahero}. This is {his} story.", "[One {weather} {time}|On a {weather} {time}|It was a {weather} {time}, and] {ahero} named {h} was out {place}.",
    "{Place}, there lived {ahero} named {h}.", "{H} the {kind} lived {home}.", "This is the story of {h}, {ahero}.", "A long time ago, {ahero} named {h} lived {home}.",
    "Deep in the [forest|mountains|valley], there lived {ahero} named {h}.", "Every {time}, {ahero} named {h} sat {place}.", "In the [beginning|old days|year of the great snow], there was {ahero} named {h}.",
    "I know {ahero} named {h}. {He} lives {home}.", "The {kind} {h} lived {home}.", "Far away, {ahero} named {h} lived {home}.", "[Last year|Last summer|Yesterday|Today], I heard the story of {h}, {ahero}.",
]
TRAITS = [
    "{He} loved {hobby}.", "{He} [liked|loved] {hobby}, and {he} [always had a smile|was never bored|did it every day].",
    "Every {time}, {he} [looked out of the window and dreamed|said good morning to the sun|sat for a while {place}].",
    "Everyone liked {him}, because {he} was [kind|honest|always ready to help].",
]

KINDS = {  # what only one kind of hero is or does
    "dragon": ["{He} could breathe fire, but it was a very small fire.", "{He} was green and gold, and {his} wings were still too small to fly.", "People were afraid of {him}, but {he} would not hurt a fly."],
    "robot": ["{He} was made of [tin|silver metal] and had two blue lights for eyes.", "When {he} was happy, {his} lights blinked.", "{He} was built by a clever inventor, and {he} wanted to understand people."],
    "king": ["{He} had a big castle and a very small crown.", "{He} had a golden chair, but {he} liked the kitchen better."],
    "queen": ["{He} had a garden with a thousand roses.", "{He} [ruled the land well|was wise and just], but {he} never had time to play."],
    "princess": ["{He} did not like crowns, but {he} loved muddy boots.", "{He} lived in a tall white tower."],
    "prince": ["{He} did not want to fight. {He} wanted to read.", "{He} had a white horse that was afraid of mice."],
    "wizard": ["{He} had a blue hat full of stars, and {his} magic often went wrong.", "{He} could turn a stone into a cake, but not a cake into a stone."],
    "witch": ["{He} flew on an old broom and grew the best pumpkins in the land.", "{He} had a black cat and a kind heart."],
    "pirate": ["{He} had a small ship and was afraid of deep water.", "{He} had looked for gold {his} whole life."],
    "knight": ["{He} had shiny armor that was far too big.", "{He} had a wooden sword and a brave heart."],
    "astronaut": ["{He} had been to the moon and back.", "{He} flew from star to star in a silver ship."],
    "scientist": ["{He} had a room full of glasses, wires and notes.", "{He} wanted to know why things are as they are."],
    "programmer": ["{He} wrote code all day long and drank too much tea.", "{He} could talk to computers better than to people."],
    "giant": ["{He} was so tall that the birds sat on {his} ears.", "{He} had to be careful with every step."],
    "fairy": ["{He} was as small as a thumb and had wings like glass.", "{He} slept in a blue flower."],
    "mermaid": ["{He} had a green tail and a voice like a bell.", "{He} knew every stone in the sea."],
    "llama": ["{He} had soft wool and a proud nose.", "{He} carried heavy bags over the mountains and never complained."],
    "unicorn": ["{His} horn shone in the dark like a lamp.", "{His} coat was as white as snow."],
    "cat": ["{He} slept on the roof all day and watched the birds.", "{He} had soft fur and very good ears."],
    "dog": ["{He} wagged {his} tail at everyone {he} met.", "{He} could smell a cookie from a mile away."],
    "owl": ["{He} slept by day and thought by night.", "{He} had big eyes that saw everything."],
    "fox": ["{He} had a red coat and quick feet.", "{He} was clever, but {he} was not always careful."],
    "bear": ["{He} loved honey more than anything.", "{He} was big and strong, but {he} was afraid of bees."],
    "mouse": ["{He} was so small that {he} could sleep in a shoe.", "{He} lived in a hole behind the kitchen."],
    "snail": ["{He} carried {his} house on {his} back and was never in a hurry.", "{He} needed a whole day to cross the garden."],
    "turtle": ["{He} was slow, but {he} always arrived.", "{He} carried {his} house on {his} back."],
    "rabbit": ["{He} had long ears and heard everything.", "{He} could jump higher than all the others."],
    "penguin": ["{He} could not fly, but {he} could swim like an arrow.", "{He} slid over the ice on {his} belly."],
    "elephant": ["{He} never forgot a face.", "{He} was very big and very gentle."],
    "lion": ["{He} had a loud voice, but {he} liked to whisper.", "Everyone thought that {he} was wild, but {he} liked to pick flowers."],
    "frog": ["{He} sat on a green leaf and sang every night.", "{He} could jump over the whole pond."],
    "bee": ["{He} flew from flower to flower all day long.", "{He} knew where the sweetest flowers grew."],
    "dinosaur": ["{He} was as long as three wagons and ate only leaves.", "{He} lived a very long time ago, before there were people."],
    "inventor": ["{He} had a shed full of wheels, springs and wires.", "{His} inventions often exploded."],
    "clockmaker": ["{His} house was full of clocks, and no two of them told the same time."],
    "detective": ["{He} had a big magnifying glass and saw what nobody else saw."],
    "sailor": ["{He} had seen all the seas of the world."],
    "fisherman": ["{He} went out in {his} boat before the sun was up."],
    "monkey": ["{He} could swing from tree to tree without looking."],
    "parrot": ["{He} could say a hundred words, but not the right ones."],
    "hedgehog": ["Nobody dared to hug {him}, because {he} had so many needles."],
    "squirrel": ["{He} hid nuts all autumn and forgot where they were."],
    "giraffe": ["{He} was so tall that {he} could see over the trees."],
    "horse": ["{He} could run as fast as the wind."],
    "wolf": ["{He} looked wild, but {he} sang very sweetly to the moon."],
}

LOST = """

{H} had {acolored}, and {he} took it everywhere. [One {weather} {time}|One day], {he} [looked for it, but it was gone|saw that it was gone]. "[Oh no|Oh dear]! Where is my {thing}?" {he} cried.

{He} looked [under the bed|behind the door|in every corner], but it was not there. Then {he} met {afriend} named {f}. "[Do not be sad|Do not cry|Do not worry]," said {f}. "[We will look for it together|I will help you to find it]." They [searched|looked] {place}[ all day long|, and they asked everyone they met|]. [At last|In the end], {f} saw something [shine|move] in the [grass|leaves|bushes]. It was the {thing}!

{H} was so happy that {he} [jumped up and down|laughed out loud|gave {f} a big hug]. "Thank you, {f}," {he} said. [From that day on, they were best friends.|Then they shared {food} and watched the sun go down.]"""

RESCUE = """

[One {weather} {time}|One day], {h} heard a small voice {place}. "Help! [Please help me|I cannot get out|I am stuck]!" It was {afriend} named {f}, who [had fallen into a deep hole|was stuck in the mud|had climbed too high and could not get down].

{H} was [afraid|a little scared], but {he} did not run away. "[Hold on|Do not be afraid], I am coming!" {he} called. First {he} tried to [pull|reach] with {his} [own strength|bare hands], but it did not work. Then {he} had an idea. {He} found a [long rope|strong branch|ladder] and [held it out|brought it] to {f}. [Slowly|Step by step|Bit by bit], {f} [climbed|came] back to safe ground.

"You saved me!" said {f}. "You are [so brave|the bravest friend in the world]." {H} [smiled|blushed]. "I was afraid, too," {he} said, "but [a friend is worth it|together we are strong|I could not leave you alone]." """

SHARE = """

[One {weather} {time}|One day], {h} got {acolored} [as a present|for {his} birthday|from {e}]. It was the most [beautiful|wonderful] thing {he} had ever had. "It is mine, and [nobody else may touch it|I will not share it]," {he} thought.

Soon {f}, {afriend}, came by. "[May I see it|Can I try it, too|Can we play with it together]?" {f} asked. "No!" said {h}. {F} [went away with tears in {fhis} eyes|looked sad and went home]. Then {h} [sat|played] alone, and it was no fun at all. [The house was very quiet.|The {thing} did not seem so beautiful anymore.]

So {h} ran after {f}. "I am sorry," {he} said. "[Let us share it|Please come back and play with me]." {F} smiled, and they played [until the stars came out|together all day long]. [It was the best day of all.|The {thing} was twice as much fun for two.]"""

LEARN = """

{H} had one big wish: {he} wanted to learn how to [swim|dance|sing|ride a bicycle|paint|bake|juggle|play the piano|read|skate|write]. [One {weather} {time}|One day], {he} tried it for the first time, but it went all wrong. Everyone [laughed|looked], and {h} wanted to [give up|hide].

"[Nobody can do it at once|Every master was once a beginner]," said {e}. "[Try a little every day|Try again tomorrow|Begin with one small step]." So {h} tried again. {He} tried it in the morning, and {he} tried it at night. [Some days were hard.|Sometimes {he} made mistakes, but {he} did not stop.] Each day it went a little better.

[One day|After many weeks], {h} could do it! {E} [clapped and cheered|was very proud of {him}]. "[You see|You did it]!" {ehe} said. "[You only had to be patient|You never gave up, and that is why you learned it]." {H} [smiled from ear to ear|had never been so happy]."""

FIND = """

[One {weather} {time}|One day], {h} was walking {place} when {he} [saw|found] [a small door in a tree|an old box|a strange egg|a map in a bottle|a golden key]. "What can this be?" {he} [wondered|asked {himself}].

{He} [took a deep breath|waited for a moment] and [looked closer|touched it with one finger]. [All at once|Suddenly], there was a [warm|soft|golden] light, and a [tiny|small|friendly] voice said, "[Thank you for waking me|At last someone has found me]. You may make one wish." {H} thought [for a long time|hard]. {He} could have [a castle|all the gold in the world|a mountain of sweets]. But then {he} thought of {f}, {afriend} who [was ill|was always alone|had lost {fhis} home].

"I wish that {f} will be [well and happy|happy again]," said {h}. [The light danced around {him} and was gone.|The voice laughed with joy, and the wish came true.] The next day, {f} came running to {him} with a [big|bright] smile. {H} never told anyone about the wish, but {his} heart was [warm|light]."""

LONELY = """

But {h} was lonely. [The others were afraid of {him}, because {he} was different.|{He} had nobody to play with.] Every {time}, {he} sat {place} and [watched the others play|sang a sad little song].

One day, {afriend} named {f} [came by|heard {him}]. "Why are you so sad?" asked {f}. "[Because I have no friends|Nobody wants to play with me]," said {h}. {F} [sat down next to {him}|thought about it]. "[Then I will be your friend|Now you have one]," {fhe} said. They [told each other stories|played hide and seek|ate {food} together] until it was dark.

The next day, {f} brought all {fhis} friends. [At first they were shy|They were a little afraid at first], but {h} was so [funny|kind|gentle] that soon everyone [laughed|wanted to sit beside {him}]. [After that day|From then on], {h} was never lonely again."""

SEED = """

[One {weather} {time}|One day], {e} gave {h} a tiny seed. "[Take good care of it|Plant it and wait]," {ehe} said. {H} put it into the earth, gave it some water and [waited|sat down beside it]. Nothing happened.

{He} waited the next day, too, and the day after that. "[Perhaps it is asleep|It will never grow]," said {f}, {afriend} who [lived next door|often came to visit]. But {h} gave it water every {time} and [sang to it|told it stories]. [The days went by|Weeks went by]. Then, one {weather} morning, there was a small green leaf!

The plant grew and grew until it was [taller than the house|full of flowers|a tree with sweet red apples]. {H} and {f} sat in its shade and ate {food}. "[Good things take time|It was worth the wait]," said {h}. And {e} [nodded|smiled]."""

BUILD = """

[One {weather} {time}|One day], {h} had an idea: {he} would build a [boat|tree house|flying machine|little bridge|kite as big as a house|robot]. {He} [took some wood and a hammer|gathered wood, rope and nails] and worked until the evening. But when {he} tried it, it [fell apart|broke] with a loud crack.

"[I cannot do it|It is no use]," said {h}. {F}, {afriend}, had [heard the noise|seen everything]. "[May I help you?|Let us try it together!]" {fhe} asked. {F} was good at [drawing plans|counting|tying knots], and {h} was good at [building|cutting wood]. [They worked for three days.|They worked and laughed and made mistakes.]

At last it was ready, and this time it [worked|held]! Everyone came to see it. "Who made this?" they asked. "We did," said {h} and {f} [at the same time|proudly]. [Then they shared {food}.|And they already had an idea for the next one.]"""

SLEEP = """

One night, {h} could not sleep. [The wind was too loud.|It was too dark.|{He} had too many thoughts in {his} head.] {He} counted [sheep|stars], but it did not help. So {he} went outside, and there sat {f}, {afriend}, [looking at the moon|under a tree].

"Can you not sleep, either?" asked {f}. "No," said {h}. "[I am afraid of the dark|I keep thinking about tomorrow]." {F} pointed at the sky. "[Look, the dark is full of stars|Without the dark, we could not see the stars]. [I count my happy days when I cannot sleep|I think of three good things every night]."

So they sat together and [counted their happy days|thought of good things]: the [sun on the water|smell of {food}|first snow], a song, a friend. [Soon their eyes were heavy.|One by one, the thoughts grew small.] {H} went back to bed and slept until the sun came up."""

STAR = """

One night, {h} saw a small light fall from the sky. It was a little star, and it lay {place} [and shivered|in the grass]. "[I fell down because I laughed too much|I leaned too far over the edge]," said the star. "[Now I cannot go home.|How can I get back to the sky?]"

{H} [carried it carefully to|ran with it to] {f}, {afriend}. "[We need the highest hill|The mountain is near the sky]," said {f}. So they climbed up, higher and higher, and the star [lit the way|sang a quiet song]. At the top, {h} [held it up with both hands|threw it as high as {he} could]. The wind took it and carried it home.

[Since then, one star blinks twice when {h} says good night.|Every night, {h} waves to it, and the star twinkles back.]"""

NOISE = """

Every night, there was a strange noise {place}. [Boom! Boom! Boom!|Hoo! Hoo! Hoo!] Everyone was afraid. "[It is a monster|It is a giant]!" they said. Only {h} wanted to know what it was. So one night, {he} took a lantern and went there.

{His} knees were shaking, but {he} went on. And what did {he} see? There was no monster at all. It was {f}, {afriend} who was [playing a big drum|crying loudly]. "[I did not want to scare anyone|I am so sorry]," said {f}. "[I only wanted someone to hear me|I do it because I am alone]."

{H} took {f} by the hand and [brought {fhim} home|showed {fhim} to the others]. "Here is your monster," {he} said, and everyone had to laugh. [Now {f} plays for them every evening.|They gave {f} {food} and a warm bed.]"""

HELPER = """

{H} was always [making things|busy with something new], and one day {he} built a small robot. "Hello," said the robot. "[What shall I do|How can I help you]?" {H} said, "[Clean the house|Do all my work], please." And the robot did it, day after day.

Soon {h} had nothing to do. {He} [grew bored|felt strange]. "[You do everything for me, but I do not learn anything|I miss doing things myself]," {he} said. The robot [blinked|thought for a while]. "[I can do it for you, or I can do it with you|Then let me help you to learn]," it said. "[What would you like to make|What would you like to know]?"

From then on, they worked side by side. They [painted a picture|planted a garden|built a boat] and gave it to {f}, {afriend} who lived [next door|across the road]. "[Who made this|This is beautiful]," said {f}. "We made it together," said {h}, and the robot [beeped with joy|blinked twice].""".replace("[Who made this|This is beautiful],", "This is beautiful,")

PLOTS = [LOST, RESCUE, SHARE, LEARN, FIND, LONELY, SEED, BUILD, SLEEP, STAR, NOISE, HELPER]

# A question {q} with an {answer}.
ANSWERED = [
    """ [One {weather} {time}|One day], {he} asked {e}, "{q}"

"{answer}" said {e}. "[Does that help you|Do you understand]?"

"[Yes, thank you|Now I understand]!" said {h}. {He} [told {f}, {afriend}, about it|went to tell {f}, {afriend}], and [soon the whole village knew|they talked about it until it was dark].""",
    """

[{F}, {afriend}, came to visit {him}.|One day, {he} met {f}, {afriend}.] "{q}" asked {f}.

{H} knew the answer. "{answer}" {he} said. "[Someone wise told me so|I read it in a book]."

"[That is wonderful|How clever you are]!" said {f}. "[I have many more questions.|Can you tell me more?]" {H} laughed. "[Then let us look for the answers together|Come, we will ask the others]," {he} said, and off they went.""",

    """

[One {weather} {time}|One day], {he} asked {e}, "{q}"

{E} [smiled|sat down|thought for a moment]. "[That is a good question|I am glad you ask]," {ehe} said. "{answer}"

{H} [thought about it|was quiet for a while]. Then {he} [ran to {f}, {afriend}, and told {fhim} everything|told it to {f}, {afriend} who lived next door]. "[I did not know that|How wonderful]!" said {f}. They [talked about it|asked each other more questions] until [the stars came out|it was time for bed]. [And the next day, {h} had a new question.|"Every answer brings a new question," said {h} and laughed.]""",
]

# A question that nobody can answer at once.
CURIOUS = [
    """ {He} asked a hundred questions every day.

One {weather} {time}, {he} had a [very hard|very strange|new] question. "[I do not know|That is a hard one]," said {e}, "but [we can find out together|I know where we can look]." So they went to the library. They read [old books and new books|one book after another], and they [asked everyone they met|made many notes].

In the evening, they [knew a little more|had found half of the answer]. "[And the other half|And what about the rest]?" asked {h}. {E} laughed. "[We will look for it tomorrow|That is for tomorrow]," {ehe} said. {H} [could hardly wait|fell asleep with a smile], for [there is nothing better than a good question|looking for an answer is an adventure].""",
    """

One {weather} {time}, {f}, {afriend}, asked {him} a very hard question. {H} [thought hard|had no idea]. "[I do not know|That is hard to say]," {he} said, and so they went to {e}.

{E} [looked up from {ehis} book|put down {ehis} cup]. "[Some people say one thing, and some say another|I could tell you what I think]," {ehe} said. "But what do you think?" {H} and {f} [looked at each other|sat down in the grass]. They thought about it, and each of them had a different idea.

"[You see|Very good]," said {e}, "[a question can have many answers|thinking is like a walk: it is more fun together]." And the two friends [talked about it all the way home|asked each other questions until it was dark].""",
]

# A {topic}: any noun phrase, one or many, thing or thought.
ABOUT = [
    """ {He} [wanted to know all about|could not stop thinking about] {topic}.

"[You should ask {f}|{F} knows a lot about it]," said {e}. {F} was {afriend} who [had traveled far|lived {place}]. So {h} [went there|knocked at {fhis} door] and asked about {topic}.

"[Sit down|Come in], and I will tell you what I know," said {f}. {Fhe} [talked and talked|showed {him} pictures and told stories], and {h} listened with big eyes. [When it was dark, {he} ran home and told it all to {e}.|At home, {he} wrote everything down.] "[Now I know more, and I have a new friend|The world is bigger than I thought]," {he} said.""",

    """ [One {weather} {time}|One day], {he} found a big book {place}. It was a book about {topic}.

{H} opened it and began to read. {He} read [all day|until it was dark], and {he} forgot [to eat|the time]. [Every page was more wonderful than the last.|There were pictures in it that seemed to move.] "I want to show this to someone," {he} thought.

So {he} took the book to {f}, {afriend} who could not read. {H} read to {fhim} every {time}, and [little by little|after a while] {f} learned to read, too. [When the book came to an end, they wrote a new one.|In the end they knew everything about {topic}.] "[A story is best when you share it|Books are better with a friend]," said {f}.""",
    """

[One night|One {weather} night], {h} had a dream about {topic}. It was [a strange and beautiful dream|the best dream of {his} life]. In the dream, {he} [could fly|was as big as a mountain|could talk to the stars].

When {he} woke up, {he} told {f}, {afriend}, about it. "[That is a sign|I had the same dream]!" said {f}. "[Let us make a song of it|We should write it down]." So they sat {place} and worked on it [all day|until the evening].

In the evening, they [sang their song|read their story] to {e} and all the others. [Everyone listened with open mouths.|At the end, everyone clapped.] "[Where did you get such a wonderful idea|How did you do that]?" asked {e}. {H} smiled. "[It was only a dream|I dreamed it]," {he} said, "but {f} helped me to make it real." """,
]

# A greeting.
GREETED = [
    """

[One {weather} {time}|One day], there was a knock at the door. "Hello!" said a [small|friendly] voice. It was {f}, {afriend}. "[I am new here|I have just moved here], and I do not know anyone."

"Come in!" said {h}. {He} gave {f} {food} and [a place by the fire|a cup of tea]. They talked about [the sea and the stars|far places and old friends]. Then {h} showed {f} everything: [the river, the hill and the old mill|the market, the park and the best tree for climbing].

In the evening, {f} said, "[This morning I was alone, and now I have a friend|Now I feel at home]." And {h} [was just as happy|felt the same].""",
]

MORALS = [
    "[From that day on|After that], {h} knew that [kindness is never lost|a true friend is the greatest treasure|good things happen to those who help|it is good to be brave].",
    "And {h} learned that [it is better to give than to take|even the smallest can do great things|nobody is too small to help|together we can do what we cannot do alone].",
    "[And so {h} learned|{H} never forgot] that [a kind word can change a day|being different is a gift|every mistake is a step|patience brings joy].",
]
ENDINGS = ["And they lived happily ever after.", "And they all lived happily ever after.", "The end.", "[And|And so] {h} went home with a [happy|light] heart.",
           "That night, {h} slept [very well|better than ever].", "And if you go there, you can still hear them laugh."]

# Who plays in a plot, so that a small model need not keep track: hero, pronoun; friend, what they are, pronoun; elder, pronoun; thing.
CAST = {
    LOST: ("Mia", "she", "Pip", "rabbit", "he", "{his} grandmother", "she", "kite", "red"), RESCUE: ("Leo", "he", "Poppy", "lamb", "she", "the old owl", "he", "rope", "long"),
    SHARE: ("Anna", "she", "Toby", "puppy", "he", "{his} father", "he", "drum", "blue"), LEARN: ("Luna", "she", "Sam", "boy", "he", "{his} grandmother", "she", "flute", "old"),
    FIND: ("Max", "he", "Nora", "girl", "she", "{his} mother", "she", "key", "golden"), LONELY: ("Rusty", "he", "Lily", "girl", "she", "the old owl", "he", "hat", "green"),
    SEED: ("Rosa", "she", "Ben", "boy", "he", "{his} grandfather", "he", "cup", "white"), BUILD: ("Tom", "he", "Coco", "squirrel", "she", "{his} uncle", "he", "boat", "wooden"),
    SLEEP: ("Clover", "she", "Scout", "fox", "he", "{his} mother", "she", "blanket", "warm"), STAR: ("Ella", "she", "Oscar", "bear", "he", "{his} aunt", "she", "lantern", "silver"),
    NOISE: ("Finn", "he", "Bella", "bear", "she", "{his} father", "he", "drum", "big"), HELPER: ("Ada", "she", "Jack", "boy", "he", "{his} teacher", "she", "robot", "tiny"),
    ANSWERED[0]: ("Emma", "she", "Noah", "boy", "he", "{his} grandfather", "he", "book", "old"), ANSWERED[1]: ("Sara", "she", "Felix", "boy", "he", "{his} teacher", "she", "book", "old"),
    ANSWERED[2]: ("Omar", "he", "Maya", "girl", "she", "{his} grandmother", "she", "book", "old"), CURIOUS[0]: ("Zoe", "she", "Ravi", "boy", "he", "{his} grandmother", "she", "book", "old"),
    CURIOUS[1]: ("Theo", "he", "Lucy", "girl", "she", "the librarian", "she", "book", "old"), ABOUT[0]: ("Peter", "he", "Willow", "turtle", "she", "{his} mother", "she", "book", "old"),
    ABOUT[1]: ("Alice", "she", "Dusty", "donkey", "he", "{his} teacher", "she", "book", "big"), ABOUT[2]: ("Leila", "she", "Biscuit", "dog", "he", "the old gardener", "he", "song", "new"),
    GREETED[0]: ("Patch", "he", "Sunny", "mouse", "she", "{his} mother", "she", "cup", "white"),
}
