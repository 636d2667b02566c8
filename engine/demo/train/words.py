"""The people, places and things of the stories."""

GIRLS = "Mia Lily Anna Rosa Emma Nora Lucy Ella Sara Maya Zoe Alice Leila Ada".split()
BOYS = "Tom Ben Leo Max Sam Jack Noah Finn Omar Theo Oscar Ravi Peter Felix".split()

# Who can be the hero of a story.
ANIMALS = """rabbit fox bear mouse owl cat kitten dog puppy duck hedgehog squirrel frog turtle badger beaver otter penguin
lion elephant monkey pony goat lamb pig deer wolf raccoon llama parrot snail bee goose mole tiger zebra giraffe
crow donkey horse koala panda kangaroo butterfly ant dinosaur dragon unicorn robot""".split()
PEOPLE = {  # with the pronoun of those who can have only one
    "girl": "she", "boy": "he", "princess": "she", "prince": "he", "queen": "she", "king": "he", "witch": "she",
    "wizard": "he", "knight": "", "pirate": "", "farmer": "", "baker": "", "sailor": "", "astronaut": "", "scientist": "",
    "programmer": "", "teacher": "", "doctor": "", "painter": "", "clockmaker": "", "gardener": "", "fisherman": "he",
    "shepherd": "", "giant": "", "fairy": "she", "mermaid": "she", "elf": "", "detective": "", "dancer": "", "singer": "",
    "writer": "", "student": "", "cook": "", "tailor": "", "explorer": "", "inventor": "", "engineer": "", "musician": "",
}

SIZES = ["little", "young", "small", "kind", "curious", "quiet", "cheerful", "clever", "shy", "brave", "gentle", "friendly"]
HOMES = ["in a small village", "in a little house by the sea", "at the edge of a big forest", "on a green hill",
         "near a wide river", "in a quiet town", "in a valley between two mountains", "beside a blue lake",
         "in a busy city", "on a small farm", "on an island far away", "in a cottage with a red door",
         "next to an old mill", "in a land of hills and rivers", "at the end of a long road"]
PLACES = ["in the forest", "in the garden", "in the meadow", "at the beach", "in the park", "on the hill", "by the river",
          "at the market", "in the old castle", "near the lighthouse", "by the lake", "in the mountains", "in the orchard",
          "near the old bridge", "in the valley", "by the waterfall", "in the barn", "behind the mill", "in the town square"]
HOBBIES = ["to play outside", "to read books", "to sing", "to climb trees", "to look at the stars", "to draw pictures",
           "to collect shiny stones", "to listen to stories", "to ask questions", "to go for long walks", "to dance in the rain",
           "to build things", "to help other people", "to bake cakes", "to watch the clouds", "to explore new places"]
THINGS = """kite ball key lantern hat scarf book drum bell boat map coat shell ring button cup doll flute basket pencil
blanket watch compass whistle violin bicycle spoon mirror feather box letter ribbon telescope puzzle crown lamp umbrella
clock necklace backpack guitar train wagon teapot notebook toy ladder shoe paintbrush camera""".split()
COLORS = ["red", "blue", "green", "yellow", "golden", "silver", "white", "purple", "orange", "old", "tiny", "shiny", "wooden", "beautiful"]
FOODS = ["apple pie", "honey cake", "warm bread", "berry jam", "vegetable soup", "pancakes", "cookies", "cheese", "chocolate cake", "pizza"]
WEATHER = ["sunny", "windy", "cold", "bright", "warm", "rainy", "foggy", "quiet", "snowy", "lovely"]
TIMES = ["morning", "afternoon", "evening", "day"]

# What people ask stories about. Things that can be counted, things that cannot, and things that come in numbers.
COUNT = """apple train castle mountain river computer phone house car bicycle tree flower cloud rainbow moon planet ship
rocket spaceship bridge garden school library city village forest lake island desert storm volcano cave tower lighthouse
clock mirror door window chair table lamp book letter song poem game wish dream secret treasure map key star comet egg
seed leaf feather snowman pumpkin carrot potato sandwich cake banana lemon cookie pizza hat shoe coat button needle bell
drum violin piano guitar trumpet painting photograph camera robot machine engine wheel boat balloon kite plane bus truck
tractor shark whale dolphin octopus crab fish snake spider lizard crocodile camel swan eagle pigeon sparrow fly worm
ghost monster alien superhero vampire zombie ninja soldier nurse lawyer president neighbor stranger friend sister
brother mother father grandmother grandfather baby family team teacher holiday birthday party wedding market shop
restaurant kitchen bedroom hospital museum zoo circus theater stadium park playground farm field road street tunnel
notebook pencil chip battery magnet telescope microscope calculator keyboard screen website program bug database
compiler kernel server network printer satellite drone laser hammer ladder rope bucket basket blanket pillow""".split()
MASS = """music rain snow water fire ice wind sand gold silver love friendship happiness sadness fear anger courage hope
kindness honesty patience time sleep science math history art football chess basketball soccer tennis swimming dancing
cooking reading writing coffee tea milk bread cheese chocolate honey rice soup salt sugar magic peace war money work
luck freedom justice truth beauty nature space gravity electricity light sound energy software hardware code data
Python Java Rust Linux Go Paris London Tokyo Africa Europe Brazil India Japan Germany Christmas summer winter spring
autumn Monday homework traffic weather climate health medicine philosophy poetry fashion memory imagination""".split()
PLURAL = """stars dinosaurs cats dogs birds trees flowers clouds dreams friends robots computers numbers colors letters
mountains rivers oceans planets animals horses dragons pirates fairies butterflies bees ants frogs books stories songs
games toys cars trains planes ships rockets apples oranges cookies pancakes shoes hats shadows bubbles wizards knights
monsters aliens ghosts bananas tomatoes volcanoes penguins elephants tigers llamas tensors matrices vampires""".split()
ADJECTIVES = """lost magic sleepy lonely brave tiny giant happy sad angry red blue golden old broken secret flying talking
singing dancing hungry invisible purple frozen friendly grumpy clever forgotten wild""".split()
ACTS = ["who could fly", "who was afraid of the dark", "who lost a friend", "who wanted to sing", "who learned to swim",
        "who lived alone", "who found a treasure", "who could not sleep", "who loved music", "who saved the village"]
TOPICS = """an apple; a train; a castle; the mountains; a river; a car; a bicycle; trees; flowers; clouds; the ocean; a ship; a rocket; a spaceship; a school; a forest; a volcano; a lighthouse; a book;
a game; a treasure; a map; a pumpkin; a cake; pizza; snow; fire; winter; spring; Christmas; football; math; history; art; cooking; animals; birds; dinosaurs; stars; planets; computers; robots; numbers;
colors; the sea; a bridge; a garden; the weather; a birthday; pirates; whales; a submarine; chocolate; tea; school; a kite; a ghost; a tiger; bees; horses""".replace("\n", " ").split("; ")
